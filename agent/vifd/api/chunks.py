"""A request body in chunks, read as RFC 9112 writes it and not as somebody may have meant it.

Mixed into the server's input class; it names no server library itself.
"""

from __future__ import annotations

from typing import Any

from vifd.api import head

#: Bytes of the line before a chunk, and of all trailers.
MAX_CHUNK_LINE = 1024
MAX_TRAILERS = 16 * 1024


class StrictChunks:
    """Over an input that keeps ``chunk_length`` (-1 before the first) and ``position`` in it."""

    chunk_length: int
    position: int
    should_send_hundred_continue: bool
    send_hundred_continue_response: Any
    is_hundred_continue_response_sent: bool
    #: what was wrong: nothing after it can be understood
    broken: str = ""

    def _chunked_read(
        self, rfile: Any, length: int | None = None, use_readline: bool = False
    ) -> bytes:
        """At most so many bytes, all by default; lines are not told apart.

        :raises OSError: the chunks are malformed, or end too early
        """
        del use_readline
        if self.should_send_hundred_continue:
            self.send_hundred_continue_response()
            self.is_hundred_continue_response_sent = True
        left = None if length is None or length < 0 else length
        pieces = []
        while left != 0 and self._in_chunk(rfile):
            room = self.chunk_length - self.position
            piece = rfile.read(room if left is None else min(room, left))
            if not piece:
                self._fail("it ends in the middle of a chunk")
            pieces.append(piece)
            self.position += len(piece)
            left = None if left is None else left - len(piece)
            if self.position == self.chunk_length and rfile.read(2) != b"\r\n":
                self._fail("a chunk is longer than it says")
        return b"".join(pieces)

    def _in_chunk(self, rfile: Any) -> bool:
        """Whether there are bytes to come; goes on to the next chunk."""
        if self.broken:
            raise OSError(self.broken)
        if self.chunk_length != 0 and self.position in (self.chunk_length, 0):
            if self.position == 0 and self.chunk_length > 0:
                return True
            self._next(rfile)
        return self.chunk_length != 0

    def _next(self, rfile: Any) -> None:
        try:
            self.chunk_length = head.chunk_size(rfile.readline(MAX_CHUNK_LINE))
        except ValueError as error:
            self._fail(str(error))
        self.position = 0
        if self.chunk_length == 0:
            self._discard_trailers(rfile)

    def _discard_trailers(self, rfile: Any) -> None:
        lines, size = [], 0
        while (line := rfile.readline(MAX_CHUNK_LINE)) != b"\r\n":
            size += len(line)
            if not line or size > MAX_TRAILERS:
                self._fail("its trailers do not end")
            lines.append(line)
        if problem := head.fields_problem(lines):
            self._fail(f"trailer: {problem}")

    def _fail(self, problem: str) -> None:
        self.broken = problem
        raise OSError(problem)
