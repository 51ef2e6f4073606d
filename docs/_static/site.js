// The theme's buttons that open a part of the navigation have no name of their own.
document.addEventListener("DOMContentLoaded", () => {
  for (const toggle of document.querySelectorAll(".toctree-toggle")) {
    toggle.closest("summary")?.setAttribute("aria-label", "Show or hide the pages of this part");
  }
});
