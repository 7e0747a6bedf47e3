"""How RocksDB keeps a shard.

Measured with records of 165 B, 7 attributes of which 8 bytes are random: blocks of 2 KiB with a dictionary are 29.8 B a
record, of 4 KiB 27.7 B, of 1 KiB 34.1 B, of 16 KiB 25.5 B; the larger a block, the more is decompressed for one record.
lz4 takes 47.7 B. Level 6 of zstd costs 2.3 µs a record when it is written, level 3 1.0 µs, for the same size.

Indexes and filters are in memory, 3 B a record: a read of a record that nobody has asked for lately is then one step in
each, and one block from the file. In the cache of blocks they would be four more looks into it, and give way to blocks.
"""

import resource
from collections.abc import Sequence

from rocksdict import (
    BlockBasedOptions,
    Cache,
    DBCompressionType,
    Options,
)

_DICTIONARY = 16 * 1024
# Of each file; ten times as much makes records 0.5 % smaller and files of 100,000 records cost half as much again.
_TRAINING = 10 * _DICTIONARY
_LEVEL = 3
_BLOOM_BITS = 10
_ZSTD_WINDOW = -14
_WRITE_BUFFER = 64 << 20
# With all files open a read need not find out which are. No more than a part of what the process may have.
_OPEN_SHARE = 4
_MUCH_LARGER = 8


def options(cache_bytes: int, block_bytes: int, sizes: Sequence[int] = ()) -> Options:
    """Return the options of a shard.

    Args:
        cache_bytes: half of it for decompressed blocks, half for records; of a store that is much larger than that,
            all for blocks.
        block_bytes: what is compressed together: more is smaller and slower.
        sizes: of the files that it has already, bytes.
    """
    made = Options(raw_mode=True)
    made.create_if_missing(True)
    # The lowest level has nearly all of it: compressed best, with a dictionary trained for each file. Where records
    # come in, compression would cost more than it saves.
    made.set_compression_per_level([DBCompressionType.none(), DBCompressionType.none(), DBCompressionType.lz4()])
    made.set_bottommost_compression_type(DBCompressionType.zstd())
    made.set_bottommost_compression_options(_ZSTD_WINDOW, _LEVEL, 0, _DICTIONARY, True)
    made.set_bottommost_zstd_max_train_bytes(_TRAINING, True)
    table = BlockBasedOptions()
    table.set_block_size(block_bytes)
    if sum(sizes) > cache_bytes * _MUCH_LARGER:
        # Nearly all is elsewhere: looking for records apart would be one more look and one more copy each time.
        table.set_block_cache(Cache(cache_bytes))
    else:
        table.set_block_cache(Cache(cache_bytes // 2))
        # Who is asked for again is seldom alone in a block: a record of its own takes a twentieth of the room, and
        # 2 µs in place of 12.
        made.set_row_cache(Cache(cache_bytes // 2))
    table.set_bloom_filter(_BLOOM_BITS, False)
    table.set_format_version(5)
    table.set_cache_index_and_filter_blocks(False)
    made.set_block_based_table_factory(table)
    made.set_write_buffer_size(_WRITE_BUFFER)
    made.set_max_background_jobs(2)
    may_open = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    made.set_max_open_files(-1 if len(sizes) < may_open // _OPEN_SHARE else may_open // 2)
    return made
