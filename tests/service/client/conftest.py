from tests.service.served import address, client, folder, written

__all__ = ["address", "client", "folder", "written"]
