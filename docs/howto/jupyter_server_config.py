"""The pages on a Jupyter server that others use: the lines for its jupyter_server_config.py."""

import os

c = get_config()  # noqa: F821  (Jupyter gives it)

# What the pages open. Kernels inherit the server's environment.
os.environ["SFNET_CODES"] = "/data/survey/codes.parquet"
os.environ["SFNET_DATASET"] = "/data/survey/galaxies"
os.environ["SFNET_RUN"] = "/data/survey/run"  # for your_galaxy.ipynb; leave it out where images need not be decomposed

os.environ["SFNET_BOKEH_ON_PAGE"] = "1"  # the template brings BokehJS

# What server and kernels say to each other is encrypted: nobody else on this machine listens in.
c.KernelManager.transport_encryption = "auto"

# Our template: BokehJS and the style from this server, no request to a CDN.
c.VoilaConfiguration.template = "sfnet"
c.VoilaConfiguration.file_allowlist = []  # else pictures under the server's root are public without a login
c.VoilaConfiguration.show_tracebacks = False
c.VoilaConfiguration.strip_sources = True

# A closed page's kernel ends by itself.
c.MappingKernelManager.cull_idle_timeout = 1800  # seconds
c.MappingKernelManager.cull_interval = 60
