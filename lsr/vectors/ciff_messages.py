"""The messages of the Common Index File Format, built at run time from its definition.

CommonIndexFileFormat.proto of osirrc/ciff (Lin et al., arXiv:2003.08276). A file is a Header,
then PostingsLists, then DocRecords, each behind its length as a varint.
"""

from __future__ import annotations

from functools import cache
from typing import Any, BinaryIO

from lsr.corpus.files import UNREADABLE, unreadable
from lsr.errors import CorruptionError, MissingDependencyError

LARGEST_MESSAGE = 2**31 - 1
PIECE = 1 << 20
PACKAGE = "io.osirrc.ciff"
# Fields in the order of their numbers, from 1.
MESSAGES = {
    "Header": (
        "int32 version",
        "int32 num_postings_lists",
        "int32 num_doc_records",
        "int32 total_postings_lists",
        "int32 total_docs",
        "int64 total_terms_in_collection",
        "double average_doclength",
        "string description",
    ),
    "Posting": ("int32 docid", "int32 tf"),
    "PostingsList": ("string term", "int64 df", "int64 cf", "repeated Posting postings"),
    "DocRecord": ("int32 docid", "string collection_docid", "int32 doclength"),
}


@cache
def message_class(name: str) -> Any:
    """The class of a message.

    Raises:
        MissingDependencyError: protobuf is not installed.
    """
    pool = _pool()
    from google.protobuf import message_factory

    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.{name}"))


def write_delimited(message: Any, target: BinaryIO) -> None:
    """Write a message behind its length."""
    data = message.SerializeToString(deterministic=True)
    length, varint = len(data), bytearray()
    while length > 0x7F:
        varint.append(length & 0x7F | 0x80)
        length >>= 7
    varint.append(length)
    target.write(bytes(varint) + data)


def read_delimited(name: str, source: BinaryIO, place: str) -> Any:
    """The next message, which must be one of that name.

    Raises:
        CorruptionError: the file ends before or in it, or its bytes are no such message.
    """
    from google.protobuf.message import DecodeError

    data = _exactly(source, _read_varint(source, place), place)
    message = message_class(name)()
    try:
        message.ParseFromString(data)
    except DecodeError:
        raise _damaged(place, f"is no {name}") from None
    return message


def _read_varint(source: BinaryIO, place: str) -> int:
    value = 0
    for shift in range(0, 35, 7):
        (byte,) = _exactly(source, 1, place)
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value > LARGEST_MESSAGE:
                break
            return value
    raise _damaged(place, "has no valid length")


def _exactly(source: BinaryIO, length: int, place: str) -> bytes:
    """Bytes of a file, read in pieces: a wrong length takes no more memory than there is file."""
    pieces = []
    while length:
        try:
            piece = source.read(min(length, PIECE))
        except UNREADABLE as error:
            raise _damaged(place, f"can't be read: {unreadable(error)}") from error
        if not piece:
            raise _damaged(place, "is cut off")
        pieces.append(piece)
        length -= len(piece)
    return b"".join(pieces)


def _damaged(place: str, what: str) -> CorruptionError:
    return CorruptionError(
        f"{place} {what}; the file is damaged or no CIFF: write or copy it again"
    )


@cache
def _pool() -> Any:
    """A pool of its own: another package may have its copy of the definition in the default one."""
    try:
        from google.protobuf import descriptor_pb2, descriptor_pool
    except ImportError as error:
        raise MissingDependencyError("the format CIFF", "protobuf", "ciff") from error
    file = descriptor_pb2.FileDescriptorProto(
        name="CommonIndexFileFormat.proto", package=PACKAGE, syntax="proto3"
    )
    field_type = descriptor_pb2.FieldDescriptorProto
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for number, declaration in enumerate(fields, start=1):
            *repeated, kind, field = declaration.split()
            label = field_type.LABEL_REPEATED if repeated else field_type.LABEL_OPTIONAL
            added = message.field.add(name=field, number=number, label=label)
            if kind in MESSAGES:
                added.type = field_type.TYPE_MESSAGE
                added.type_name = f".{PACKAGE}.{kind}"
            else:
                added.type = getattr(field_type, f"TYPE_{kind.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return pool
