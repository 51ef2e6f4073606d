"""The live figures: RMSE and loss by epoch, active features by epoch, and the held-out galaxies' predictions."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import numpy as np
from bokeh.layouts import gridplot
from bokeh.models import ColumnDataSource, HoverTool, Label, Legend, LegendItem, Range1d, Slope, Span, Title
from bokeh.plotting import figure

from sfnet_core.explorer.shared.linked import LinkedFigures
from sfnet_core.explorer.shared.panel import DARK, FONT, LIGHT, padded_range

if TYPE_CHECKING:
    from sfnet_core.explorer.train.progress import Progress

__all__ = ["Curves"]

COLUMNS = ("epoch", "train_rmse", "validation_rmse", "loss", "active", "active_percent")
# As on the other pages: slate what is plain, blue-green what the numbers of the page are of.
HELD = {False: "#0b6e8f", True: "#52b6d6"}
PANE = {False: "#ffffff", True: "#1a2128"}
PERCENT = {False: "#b45f06", True: "#ffb347"}


class Curves:
    """Four figures over one history; ``widget`` is what the page shows."""

    def __init__(self) -> None:
        self.history = ColumnDataSource({name: [] for name in COLUMNS})
        self.held = ColumnDataSource({"truth": [], "prediction": [], "id": []})
        self.rmse, self.against = self._figure(), self._figure()
        self.active, self.loss = self._figure(), self._figure(y_axis_type="log")
        self._draw_rmse()
        self._draw_against()
        self._draw_active()
        self._draw_loss()
        grid = gridplot(
            [[self.rmse, self.against], [self.active, self.loss]],
            sizing_mode="stretch_both",
            toolbar_location="right",
            merge_tools=True,
            toolbar_options={"logo": None},
        )
        self.widget: LinkedFigures | None = None
        self.theme(dark=False)
        self.widget = LinkedFigures(grid)

    # -- building ----------------------------------------------------------------------------------------------

    @property
    def figures(self) -> tuple:
        """Left to right, top to bottom."""
        return self.rmse, self.against, self.active, self.loss

    def _figure(self, **more):
        fig = figure(
            x_range=Range1d(0, 10),
            y_range=Range1d(0.1, 1),
            tools="pan,box_zoom,wheel_zoom,reset",
            active_drag="box_zoom",
            sizing_mode="stretch_both",
            min_width=150,
            min_height=150,
            output_backend="canvas",
            toolbar_location=None,
            styles={"clip-path": "inset(2px)"},  # a canvas keeps the other theme's colour in its outermost pixels
            **more,
        )
        fig.title = Title(text_font_size="11.5px", text_font_style="normal", text_line_height=1.25, text_font=FONT)
        fig.min_border_right = 10
        for axis in fig.axis:
            axis.axis_label_text_font_size, axis.axis_label_text_font_style = "12px", "normal"
            axis.axis_label_text_font = axis.major_label_text_font = FONT
            axis.axis_label_standoff, axis.major_label_text_font_size = 4, "11px"
            axis.minor_tick_line_color = None
        return fig

    def _curve(self, fig, name: str, **style):
        """A line with a dot at each epoch, so that the first epoch alone can be seen."""
        line = fig.line("epoch", name, source=self.history, line_width=1.8, **style)
        dots = fig.scatter("epoch", name, source=self.history, size=4, line_color=None)
        return line, dots

    def _legend(self, fig, pairs: list[tuple[str, list]], place: str) -> Legend:
        legend = Legend(
            items=[LegendItem(label=label, renderers=renderers) for label, renderers in pairs],
            location=place,
            orientation="horizontal",
            visible=False,
            background_fill_alpha=0,
            border_line_color=None,
            padding=2,
            spacing=12,
            margin=4,
            glyph_width=16,
            label_text_font_size="11px",
            label_text_font=FONT,
        )
        fig.add_layout(legend)
        return legend

    def _draw_rmse(self) -> None:
        fig = self.rmse
        self.train, self.validation = self._curve(fig, "train_rmse"), self._curve(fig, "validation_rmse")
        self.mean = Span(location=0, dimension="width", line_dash="4 3", line_alpha=0.7, visible=False)
        fig.add_layout(self.mean)
        words = "predicting the mean"
        self.mean_words = Label(
            x=0, y=0, y_offset=2, text=words, visible=False, text_align="right", text_font=FONT, text_font_size="11px"
        )
        fig.add_layout(self.mean_words)
        pairs = [("validation", list(self.validation)), ("training", list(self.train))]
        self.legends = [self._legend(fig, pairs, "top_right")]
        self._hover(fig, [self.validation[1]], validation="@validation_rmse{0.0000}", training="@train_rmse{0.0000}")

    def _draw_against(self) -> None:
        fig = self.against
        self.points = fig.scatter("truth", "prediction", source=self.held, size=5, line_color=None, fill_alpha=0.55)
        self.identity = Slope(gradient=1, y_intercept=0, line_dash="4 3", line_alpha=0.6)
        fig.add_layout(self.identity)
        fig.add_tools(
            HoverTool(
                renderers=[self.points],
                tooltips=[("galaxy", "@id"), ("true", "@truth{0.000}"), ("predicted", "@prediction{0.000}")],
            )
        )

    def _draw_active(self) -> None:
        fig = self.active
        self.any, self.percent = self._curve(fig, "active"), self._curve(fig, "active_percent")
        pairs = [("on any", list(self.any)), ("on ≥ 1 %", list(self.percent))]
        self.legends.append(self._legend(fig, pairs, "top_right"))
        self._hover(fig, [self.any[1]], **{"on any": "@active", "on ≥ 1 %": "@active_percent"})

    def _draw_loss(self) -> None:
        self.lost = self._curve(self.loss, "loss")
        self._hover(self.loss, [self.lost[1]], loss="@loss{0.0000}")

    def _hover(self, fig, renderers: list, **values: str) -> None:
        tips = [("epoch", "@epoch"), *values.items()]
        fig.add_tools(HoverTool(renderers=renderers, tooltips=tips, mode="vline"))

    # -- drawing -----------------------------------------------------------------------------------------------

    def draw(self, progress: Progress) -> None:
        """Bring the figures up to the training's progress, in one patch."""
        with self.widget.one_patch() if self.widget else contextlib.nullcontext():
            history = progress.history
            self.history.data = {
                name: np.array([row.get(name, np.nan) for row in history], dtype=float) for name in COLUMNS
            }
            self._axes(progress)
            self._held(progress)

    def _axes(self, p: Progress) -> None:
        unit = f" [{p.unit}]" if p.unit else ""
        last = p.history[-1] if p.history else {}
        held = f"n = {p.n_validation:,}, validation" if p.n_validation else "no galaxies held out"
        both = f"n = {p.learnt}, {p.n_validation:,} validation" if p.begun else "before the first epoch"
        number = f" {last['validation_rmse']:.4f} {p.unit}".rstrip() if "validation_rmse" in last else ""
        self.rmse.title.text = f"Validation RMSE{number}\n{both}"
        after = f" after epoch {last['epoch']}" if p.truth is not None and p.prediction is not None else ""
        shown = "" if p.truth is None or len(p.truth) == p.n_validation else f" ({len(p.truth):,} shown)"
        self.against.title.text = f"Predictions{after}\n{held if p.begun else 'before the first epoch'}{shown}"
        fires = f": {last['active']} of {p.features}" if "active" in last else ""
        self.active.title.text = f"Active features{fires}\n{held if p.begun else 'before the first epoch'}"
        loss = f" {last['loss']:.4f}" if "loss" in last else ""
        of = f"n = {p.learnt}{', as the teacher says' if p.plan.get('teacher') else ''}"
        self.loss.title.text = f"Training loss{loss}\n{of if p.begun else 'before the first epoch'}"
        self.rmse.yaxis[0].axis_label = f"RMSE of {p.target}{unit}"
        self.against.xaxis[0].axis_label = f"true {p.shown}{unit}"
        self.against.yaxis[0].axis_label = f"predicted {p.shown}{unit}"
        self.active.yaxis[0].axis_label = "features that fire"
        self.loss.yaxis[0].axis_label = "MSE, standardised target [σ²]"
        for fig in (self.rmse, self.active, self.loss):
            fig.xaxis[0].axis_label = "epoch"
            _span(fig.x_range, 0.5 if p.epochs < 20 else 0, max(p.epochs, 1) + 0.5)
        data = self.history.data
        self.mean.visible = self.mean_words.visible = bool(p.baseline)
        self.mean.location = self.mean_words.y = p.baseline or 0.0
        self.mean_words.x = max(p.epochs, 1) + 0.45
        for legend in self.legends:
            legend.visible = bool(p.history)
        errors = np.concatenate([data["train_rmse"], data["validation_rmse"], [p.baseline or np.nan]])
        errors = errors[np.isfinite(errors)]
        # an untrained network may be off by anything: such epochs stand above the axis
        limit = 2.5 * p.baseline if p.baseline else np.inf
        _span(self.rmse.y_range, 0, 1.35 * min(float(errors.max()), limit) if len(errors) else 1)
        _span(self.active.y_range, 0, 1.2 * max(float(np.nanmax(data["active"], initial=0)), 8))
        positive = data["loss"][data["loss"] > 0]
        _span(self.loss.y_range, *(0.8 * positive.min(), 1.25 * positive.max()) if len(positive) else (0.1, 1))

    def _held(self, p: Progress) -> None:
        self.identity.visible = p.begun
        if p.truth is None or not len(p.truth):
            low, high = padded_range([np.asarray(p.span)], 0.08)
            _span(self.against.x_range, low, high)
            _span(self.against.y_range, low, high)
            self.held.data = {"truth": [], "prediction": [], "id": []}
            return
        known = p.prediction is not None
        self.held.data = {
            "truth": p.truth,
            "prediction": p.prediction if known else np.full(len(p.truth), np.nan),
            "id": list(p.ids),
        }
        low, high = padded_range([p.truth], 0.08)
        _span(self.against.x_range, low, high)
        if known:
            # a network that has just begun predicts anything; the axis stays near the truth
            near = np.clip(p.prediction, low - (high - low) / 2, high + (high - low) / 2)
            low, high = padded_range([p.truth, near], 0.08)
        _span(self.against.y_range, low, high)

    def theme(self, dark: bool) -> None:
        """Colours for a dark or a light page, in one patch."""
        with self.widget.one_patch() if self.widget else contextlib.nullcontext():
            colour = DARK if dark else LIGHT
            for fig in self.figures:
                # filled, not see-through: what was drawn before must not shine through after a change of size
                fig.background_fill_color = fig.border_fill_color = PANE[dark]
                fig.title.text_color, fig.outline_line_color = colour["ink"], colour["faint"]
                for grid in fig.grid:
                    grid.grid_line_color = colour["grid"]
                for axis in fig.axis:
                    axis.axis_label_text_color = axis.major_label_text_color = colour["ink"]
                    axis.axis_line_color = axis.major_tick_line_color = colour["faint"]
            for legend in self.legends:
                legend.label_text_color = colour["ink"]
            for pair, tint in (
                (self.train, colour["point"]),
                (self.validation, HELD[dark]),
                (self.any, HELD[dark]),
                (self.percent, PERCENT[dark]),
                (self.lost, colour["point"]),
            ):
                pair[0].glyph.line_color = tint
                pair[1].glyph.fill_color = tint
            self.mean.line_color = self.identity.line_color = self.mean_words.text_color = colour["ink"]
            self.points.glyph.fill_color = HELD[dark]


def _span(own: Range1d, low: float, high: float) -> None:
    """Set a range where it changes, so that the user's own zoom stays while the data's extent does."""
    low, high = float(low), float(high)
    if (own.reset_start, own.reset_end) != (low, high):
        own.update(start=low, end=high, reset_start=low, reset_end=high)
