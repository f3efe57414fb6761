"""The client of a served index: requests and answers without I/O, and two classes that send them.

``calls`` has a request for each route, ``search_request`` and ``search_answer`` the JSON of
searches, ``bulk`` the parts of a long upsert, ``errors`` and ``retries`` what failures mean;
``client`` sends all of it, ``async_client`` does so with ``await``.
"""
