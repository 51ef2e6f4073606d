"""Voilà as ``sfnet explore`` starts it: only what belongs to a page is served, and a full server says so."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import socket
import sys
from pathlib import Path
from typing import Any
from uuid import UUID

import tornado.web
from jupyter_server.auth.logout import LogoutHandler
from jupyter_server.base.handlers import FileFindHandler, JupyterHandler
from jupyter_server.services.kernels.handlers import KernelHandler
from jupyter_server.utils import url_path_join
from traitlets import Bool, Integer, Type, default
from voila.app import Voila
from voila.request_info_handler import RequestInfoSocketHandler
from voila.shutdown_kernel_handler import VoilaShutdownKernelHandler
from voila.static_file_handler import AllowListFileHandler, TemplateStaticFileHandler
from voila.tornado.contentshandler import VoilaContentsHandler
from voila.tornado.handler import TornadoVoilaHandler
from voila.tornado.treehandler import TornadoVoilaTreeHandler
from voila.voila_identity_provider import VoilaIdentityProvider

from sfnet_core.explorer.server.forked import use_nursery
from sfnet_core.explorer.server.making import use_maker
from sfnet_core.explorer.server.parent_watch import end_with

__all__ = ["CONFIGURATION", "ExplorerServer", "main"]

CONFIGURATION = Path(__file__).parent / "voila"  # the folder of voila.json
RETRY = 10  # s until a visitor of a full server looks again
LAST_WORDS = 1.0  # s that a closed tab's kernel has for what is on its way
SUN_PATH = 104  # bytes that a Unix socket's path and its last zero may have (macOS; Linux: 108)
HASHED = re.compile(r"\.[0-9a-f]{8,}\.(js|css|woff2?|svg)$")
NAME = re.compile(r"[A-Za-z0-9_-]+\.ipynb")


class PageHandler(TornadoVoilaHandler):
    """A page, where it is one of ours and a session is free."""

    @tornado.web.authenticated
    async def get(self, path: str | None = None) -> None:
        """Send the page as it is made."""
        root = Path(self.settings["voila"].root_dir)
        if self.notebook_path and path:
            raise tornado.web.HTTPError(404)
        if not self.notebook_path and not (NAME.fullmatch(path or "") and (root / path).is_file()):
            raise tornado.web.HTTPError(404)
        if hasattr(self.kernel_manager, "room") and not await self.kernel_manager.room():
            self.refuse()
            return
        try:
            async for html in self.get_generator(path=path):
                self.write(html)
                self.flush()
        except tornado.web.HTTPError as error:
            if error.status_code != 503 or self._headers_written:
                raise
            self.refuse()

    def refuse(self) -> None:
        """All sessions are taken."""
        self.clear()
        self.set_status(503)
        self.set_header("Retry-After", str(RETRY))
        self.set_header("Cache-Control", "no-store")
        self.finish(self.render_template("503.html", retry=RETRY))


class KnownByToken(VoilaIdentityProvider):
    """A token says who asks, and excuses from nothing.

    Jupyter takes a request with the right token for one that no browser was tricked into. Behind a proxy that adds the
    token to every request that is not so: the page of another site would be let in by the visitor's own browser.
    """

    def is_token_authenticated(self, handler: tornado.web.RequestHandler) -> bool:
        """Never: the origin of every request is checked, and no other site's page may read an answer."""
        return False


class EndHandler(JupyterHandler):
    """A page's last word as its tab closes. The kernel's identifier is the page's own secret: no other token asked."""

    def write_error(self, status_code: int, **_: Any) -> None:
        """The status alone: nobody reads this answer."""
        self.finish(str(status_code))

    def check_xsrf_cookie(self) -> None:
        """The page may have no such cookie; another site can't know the identifier, and its origin is refused."""
        if not self.check_origin():
            raise tornado.web.HTTPError(403)

    @tornado.web.authenticated
    async def post(self, kernel_id: str) -> None:
        """End the kernel, without keeping the closing tab waiting."""
        if kernel_id not in self.kernel_manager:
            self.set_status(404)
            return
        task = asyncio.ensure_future(self._end(kernel_id))
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        self.set_status(204)

    async def _end(self, kernel_id: str) -> None:
        """The line may still bring what was typed as the tab closed, and the kernel writes it before it ends."""
        await asyncio.sleep(LAST_WORDS)
        if kernel_id in self.kernel_manager:
            await self.kernel_manager.shutdown_kernel(kernel_id)


class LaterHandler(EndHandler):
    """Voilà's own last word comes before it is known that the page goes (a download would do): ours follows."""

    @tornado.web.authenticated
    async def post(self, kernel_id: str) -> None:
        """Nothing."""
        self.set_status(204)


class KernelLook(KernelHandler):
    """Whether a kernel lives; nothing else is done to kernels over HTTP."""

    SUPPORTED_METHODS = ("GET", "HEAD", "OPTIONS")


class TemplateFiles(TemplateStaticFileHandler):
    """A template's static files; a path of another form is not there (Voilà itself answers 500)."""

    def parse_url_path(self, path: str) -> str:
        """The path below a template's ``static``."""
        if not re.match(r"[A-Za-z0-9_-]+/static/[A-Za-z0-9_]", path) or re.search(r"\.\.|[\\\0]", path):
            raise tornado.web.HTTPError(404)
        return super().parse_url_path(path)


class ExtensionFiles(FileFindHandler):
    """The widgets' scripts: a name that holds a hash of its content is the same for ever, so no browser asks again."""

    def set_headers(self) -> None:
        """As Jupyter has it, which is to ask each time, for the other names."""
        super().set_headers()
        if HASHED.search(self.request.path):
            self.set_header("Cache-Control", "private, max-age=31536000, immutable")


class ToExplorer(tornado.web.RequestHandler):
    """The server's own address leads to the explorer, with the query it came with."""

    def get(self, path: str = "") -> None:
        """Redirect."""
        query = f"?{self.request.query}" if self.request.query else ""
        self.redirect(url_path_join(self.settings["base_url"], "voila/render/explore.ipynb") + query)


class NotHere(tornado.web.RequestHandler):
    """Anything else."""

    def prepare(self) -> None:
        """404, whatever the method."""
        raise tornado.web.HTTPError(404)

    def check_xsrf_cookie(self) -> None:
        """Nothing is done here that would need it."""


class ExplorerServer(Voila):
    """Voilà with our configuration and our handlers."""

    name = "voila"  # the configuration's file is voila.json
    patience = Integer(90, config=True, help="Seconds for a page to open before it reports that it can't.")
    identity_provider_class = Type(KnownByToken, klass=VoilaIdentityProvider, config=True)
    open_to_all = Bool(False, config=True, help="Start without a secret: whoever reaches the port may open the pages.")
    ends_with_stdin = Bool(
        False, config=True, help="End when standard input ends, as it does with the process that started the server."
    )

    @default("config_file_paths")
    def _where_the_configuration_is(self) -> list[str]:
        return [*super()._config_file_paths_default(), str(CONFIGURATION)]

    def initialize(self, argv: list[str] | None = None) -> None:
        """Read the configuration; pages learn from it what to expect of the server."""
        if any(word.partition("=")[0] in ("--token", "--Voila.token") for word in sys.argv if argv is None):
            self.exit_with("Everyone on this machine can read a secret on the command line. Put it into JUPYTER_TOKEN.")
        super().initialize(argv)
        if not (self.token or self.open_to_all):
            if not os.environ.get("JUPYTER_TOKEN"):
                self.exit_with(
                    "This server has no secret. Put one into the environment (JUPYTER_TOKEN), or say "
                    "--ExplorerServer.open_to_all=True where everybody who reaches the port may open the pages."
                )
            self.token, self.auto_token = None, True  # the environment's
        use_maker()
        if holds_sockets(self.connection_dir_root):
            self.config.KernelManager.transport = "ipc"
        if self.ends_with_stdin:
            end_with(0)
        # What was asked for is no news for the terminal, and may hold the token; exceptions are said all the same.
        for name in ("tornado.access", "tornado.general"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self.voila_configuration.page_config_hook = self._tell_the_page

    def exit_with(self, sentence: str) -> None:
        """End with status 2 and a sentence on standard error."""
        print(sentence, file=sys.stderr)
        self.exit(2)

    def _tell_the_page(self, current_page_config: dict[str, Any], **_: Any) -> dict[str, Any]:
        return {**current_page_config, "sfnet": {"patience": self.patience, "end": True}}

    def init_handlers(self) -> list:
        """Voilà's handlers without those that list or open files, and with ours."""
        instead: dict[type, type | None] = {
            TornadoVoilaHandler: PageHandler,
            TornadoVoilaTreeHandler: ToExplorer,
            TemplateStaticFileHandler: TemplateFiles,
            FileFindHandler: ExtensionFiles,
            KernelHandler: KernelLook,
            LogoutHandler: NotHere,
            VoilaShutdownKernelHandler: LaterHandler,
            **dict.fromkeys((RequestInfoSocketHandler, VoilaContentsHandler, AllowListFileHandler)),
        }
        kernel = r"(\w+-\w+-\w+-\w+-\w+)"
        handlers: list = [(url_path_join(self.server_url, f"/sfnet/end/{kernel}"), EndHandler)]
        for pattern, handler, *arguments in super().init_handlers():
            handler = instead.get(handler, handler)
            if handler is not None:
                handlers.append((pattern, handler, *(arguments if handler is not ToExplorer else ())))
        return [*handlers, (r".*", NotHere)]


def holds_sockets(folder: str) -> bool:
    """Whether kernels can listen on Unix sockets below ``folder``: the system has them, and the path is short enough.

    A TCP port is chosen seconds before the kernel takes it; where another program takes it first, the kernel dies.
    """
    longest = Path(folder, "voila_01234567", f"kernel-{UUID(int=0)}-ipc-5")
    return os.name == "posix" and hasattr(socket, "AF_UNIX") and len(os.fsencode(longest)) < SUN_PATH


def main() -> None:
    """Serve the notebooks of a folder: ``python -m sfnet_core.explorer.server notebooks [--port=…]``."""
    nursery = use_nursery()
    try:
        ExplorerServer.launch_instance()
    finally:
        if nursery is not None:
            nursery.close()
