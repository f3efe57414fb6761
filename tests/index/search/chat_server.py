"""A chat endpoint on this machine: prompts in, answers of a function out."""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class ChatServer:
    """``answer`` takes a prompt; what it gives is the text, or bytes to send as they are."""

    def __init__(self, answer, status=200, delay=0.0):
        self.answer, self.status, self.delay = answer, status, delay
        self.prompts: list[str] = []
        self.keys: list[str | None] = []
        self.paths: list[str] = []

    @contextmanager
    def running(self, monkeypatch):
        """Serve, and name this endpoint in the environment."""
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                prompt = body["messages"][0]["content"]
                owner.prompts.append(prompt)
                owner.keys.append(self.headers.get("Authorization"))
                owner.paths.append(self.path)
                time.sleep(owner.delay)
                text = owner.answer(prompt)
                choice = {"message": {"role": "assistant", "content": str(text)}}
                sent = (
                    text if isinstance(text, bytes) else json.dumps({"choices": [choice]}).encode()
                )
                self.send_response(owner.status)
                self.send_header("Content-Length", str(len(sent)))
                self.end_headers()
                with suppress(BrokenPipeError):
                    self.wfile.write(sent)

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        monkeypatch.setenv("LSR_CHAT_URL", f"http://127.0.0.1:{server.server_port}/v1/")
        monkeypatch.setenv("LSR_CHAT_MODEL", "small")
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join()
