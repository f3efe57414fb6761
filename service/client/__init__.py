"""The client of a served index: requests and answers without I/O, and classes that send them.

``steps`` and ``server_steps`` say what each method sends and reads, ``search_request`` and
``search_answer`` have the JSON of searches, ``bulk`` the parts of a long upsert, ``errors`` and
``retries`` what failures mean; ``server``, ``client`` and ``remote_collection`` send all of it, and
those whose names begin with ``async_`` do so with ``await``.
"""
