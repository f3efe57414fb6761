import os

from tests.service.served import address, client, folder, written

__all__ = ["address", "client", "folder", "written"]

# Of Haystack, which tells its makers of pipelines otherwise.
os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"
