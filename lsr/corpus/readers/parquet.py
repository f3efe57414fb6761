"""Documents from Parquet files: a row is a document."""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Iterator
from functools import partial
from math import isfinite
from pathlib import Path
from typing import Any

from lsr.corpus.documents import DEEPEST_METADATA
from lsr.corpus.field_names import USUAL, FieldNames
from lsr.corpus.items import Item, item_of
from lsr.corpus.readers.table import Table
from lsr.errors import InputError, MissingDependencyError

ROWS_AT_A_TIME = 256


def read_parquet(path: Path, name: str, names: FieldNames = USUAL) -> Iterator[Item]:
    """An item for each row.

    Raises:
        MissingDependencyError: pyarrow is not installed.
    """
    try:
        import pyarrow as arrow
        from pyarrow import parquet
    except ImportError as error:
        raise MissingDependencyError("Parquet", "pyarrow", "parquet") from error
    number = 0
    try:
        with parquet.ParquetFile(path) as file:
            table = Table.of(file.schema_arrow.names, names)
            for batch in file.iter_batches(ROWS_AT_A_TIME):
                for row in batch.to_pylist():
                    number += 1
                    yield item_of(name, number, partial(_record, row), table.names)
    except InputError as error:
        yield Item(name, 0, None, f"the columns of this file aren't understood: {error}")
    except (arrow.ArrowException, OSError, ValueError) as error:
        reason = f"the file can't be read further: {str(error).splitlines()[0]}"
        yield Item(name, number + 1, None, reason)


def _record(row: dict[str, Any]) -> object:
    return {name: _json_value(value, DEEPEST_METADATA) for name, value in row.items()}


def _json_value(value: Any, levels: int) -> Any:
    """A value as JSON has it: times as ISO 8601, decimals as numbers.

    Raises:
        InputError: JSON has none, as of bytes.
    """
    if isinstance(value, dict | list | tuple) and levels:
        if isinstance(value, dict):
            return {str(key): _json_value(each, levels - 1) for key, each in value.items()}
        return [_json_value(each, levels - 1) for each in value]
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return float(value)
    if isinstance(value, float) and not isfinite(value):
        return None
    if value is None or isinstance(value, str | int | float):
        return value
    raise InputError(f"a cell holds {type(value).__name__}, which JSON has not")
