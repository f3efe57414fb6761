#include "list_unpacker.hpp"

#include <unistd.h>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <algorithm>
#include <array>
#include <limits>
#include <stdexcept>
#include <string>

#include "bit_codec.hpp"
#include "packed_numbers.hpp"
#include "parallel.hpp"

namespace lsr {
namespace {

constexpr std::size_t lists_at_a_time = 64;
constexpr std::uint64_t longest_list = std::numeric_limits<std::uint32_t>::max();  // bytes
constexpr std::size_t alignment = 64;
constexpr std::int32_t untouched = 0, unpacked = -1;

void require(bool holds, const char* what) {
    if (!holds) throw std::invalid_argument(std::string("the index is malformed: ") + what);
}

bool positive_and_finite(std::span<const std::uint16_t> weights) {
    constexpr std::uint16_t infinity_bits = 0x7C00;  // larger bits: NaN or negative
    bool sound = true;
    for (const auto bits : weights) {
        sound &= static_cast<std::uint16_t>(bits - 1) < infinity_bits - 1;
    }
    return sound;
}

void check_order(std::span<const DocId> order) {
    require(order.size() <= largest_document_count, "the number of documents");
    std::vector<bool> seen(order.size());
    for (const auto ordinal : order) {
        require(ordinal < seen.size() && !seen[ordinal], "the document order");
        seen[ordinal] = true;
    }
}

// Reads the ascending numbers of a list, all of them below `limit`.
void read_numbers(std::span<const std::uint8_t> bytes, std::size_t count, std::size_t limit,
                  std::vector<std::int32_t>& numbers) {
    std::size_t stated = 0;
    require(unpack_count(bytes, stated) && stated == count, "a list's length");
    numbers.resize(count);
    require(unpack_ascending(bytes, numbers) && static_cast<std::size_t>(numbers.back()) < limit,
            "a list's documents");
}

// Tells the system that places in an array are looked up here and there: where it has to fetch pages
// of a file, it fetches no others with them.
template <typename T>
void look_up_at_random(std::span<const T> array) {
#if defined(__linux__)
    constexpr std::uintptr_t page = 4096;
    const auto begin = (reinterpret_cast<std::uintptr_t>(array.data()) + page - 1) / page * page;
    const auto end = reinterpret_cast<std::uintptr_t>(array.data() + array.size()) / page * page;
    if (begin < end) (void)madvise(reinterpret_cast<void*>(begin), end - begin, MADV_RANDOM);
#endif
}

// Whether the last block holds none of the documents that there are not.
bool is_within(BlockMask mask, std::size_t block, std::size_t documents) {
    const auto left = documents - block * block_size;
    return left >= block_size || mask >> left == 0;
}

// Hands out the arrays of an index one after the other; with no room, counts their bytes.
class Carver {
public:
    explicit Carver(std::uint8_t* room) : room_(room) {}

    template <typename T>
    void carve(std::span<T>& array, std::size_t count) {
        if (room_ != nullptr) array = {reinterpret_cast<T*>(room_ + used_), count};
        used_ += (count * sizeof(T) + alignment - 1) / alignment * alignment;
    }

    [[nodiscard]] std::size_t used() const noexcept { return used_; }

private:
    std::uint8_t* room_;
    std::size_t used_ = 0;
};

// Gives each array of lists its place, and the order its own.
std::size_t carve(std::uint8_t* memory, std::size_t documents, std::size_t terms,
                  std::size_t postings, const ListPlaces& places, ListRoom& room,
                  std::span<DocId>& order) {
    BlockIndex shape;
    shape.order = {static_cast<const DocId*>(nullptr), documents};
    const auto narrow = static_cast<std::size_t>(places.narrow_starts.back());
    const auto rows = places.mask_starts.size() - 1;
    Carver carver(memory);
    carver.carve(order, documents);
    carver.carve(room.steps, terms);
    carver.carve(room.block_max, rows * shape.row_stride());
    carver.carve(room.groups, rows * shape.group_count());
    carver.carve(room.masks, static_cast<std::size_t>(places.mask_starts.back()) + group_size);
    carver.carve(room.narrow_blocks, narrow);
    carver.carve(room.narrow_lanes, narrow);
    carver.carve(room.narrow_impacts, narrow);
    carver.carve(room.weights, postings);
    return carver.used();
}

}  // namespace

ListUnpacker::ListUnpacker(const PackedListsView& packed, std::span<const DocId> order,
                           std::size_t vocabulary_size)
    : packed_(packed), order_(order) {
    check_order(order);
    read_terms(vocabulary_size);
    read_lengths();
    index_.order = order;
    const auto block_count = index_.block_count();
    std::vector<std::size_t> blocks;
    blocks.reserve(entries_.size());
    for (std::size_t place = 0; place < entries_.size(); ++place) {
        const auto& entry = entries_[place];
        const auto count = postings(place);
        // Of documents or blocks, whichever the bytes name, each takes a bit at least.
        require(0 < entry.blocks && entry.blocks <= block_count && entry.blocks <= count &&
                    count <= order.size() && count <= entry.blocks * block_size &&
                    entry.blocks <= entry.document_bytes * 8,
                "a list's length");
        blocks.push_back(entry.blocks);
    }
    places_ = place_lists(weight_starts_, blocks, index_.row_stride());
    require(static_cast<std::size_t>(places_.mask_starts.back()) == packed.masks.size(),
            "the masks");
    states_ = std::vector<std::atomic<std::int32_t>>(entries_.size());
}

void ListUnpacker::read_terms(std::size_t vocabulary_size) {
    std::size_t lists = 0;
    require(unpack_count(packed_.terms, lists), "its terms");
    terms_.resize(lists);
    require(unpack_ascending(packed_.terms, terms_) &&
                (lists == 0 || static_cast<std::size_t>(terms_.back()) < vocabulary_size),
            "its terms");
}

void ListUnpacker::read_lengths() {
    const auto lists = terms_.size();
    entries_.reserve(lists);
    weight_starts_.reserve(lists + 1);
    weight_starts_.push_back(0);
    BitReader reader(packed_.lengths);
    std::array<std::size_t, 4> numbers{};
    std::size_t found = 0, document_bytes = 0, weight_bytes = 0;
    const auto put = [&](std::uint64_t number) {
        numbers[found++] = static_cast<std::size_t>(number);
        if (found == numbers.size()) {
            weight_starts_.push_back(weight_starts_.back() +
                                     static_cast<std::int64_t>(numbers[0]));
            entries_.push_back(
                {numbers[1], numbers[2], numbers[3], document_bytes, weight_bytes});
            document_bytes += numbers[2];
            weight_bytes += numbers[3];
            found = 0;
        }
        return true;
    };
    require(read_rice(reader, numbers.size() * lists, longest_list, put) && reader.is_done() &&
                document_bytes == packed_.documents.size() &&
                weight_bytes == packed_.weights.size(),
            "the lengths of its lists");
}

std::size_t ListUnpacker::postings(std::size_t place) const {
    return static_cast<std::size_t>(weight_starts_[place + 1] - weight_starts_[place]);
}

std::size_t ListUnpacker::room_size() const noexcept {
    ListRoom room;
    std::span<DocId> order;
    return carve(nullptr, order_.size(), terms_.size(),
                 static_cast<std::size_t>(weight_starts_.back()), places_, room, order);
}

void ListUnpacker::use(std::span<std::uint8_t> room) {
    if (room.size() < room_size()) throw std::invalid_argument("there is too little room");
    std::span<DocId> order;
    carve(room.data(), order_.size(), terms_.size(),
          static_cast<std::size_t>(weight_starts_.back()), places_, room_, order);
    std::copy(order_.begin(), order_.end(), order.begin());
    order_ = order;
    index_ = {order,
              terms_,
              room_.steps,
              weight_starts_,
              room_.weights,
              places_.rows,
              places_.narrow_starts,
              room_.narrow_blocks,
              room_.narrow_lanes,
              room_.narrow_impacts,
              room_.block_max,
              room_.groups,
              places_.mask_starts,
              room_.masks,
              this};
    look_up_at_random(index_.groups);
    look_up_at_random(index_.masks);
    look_up_at_random(index_.weights);
}

void ListUnpacker::complete(unsigned threads, const std::atomic<bool>& stop) {
    std::atomic<bool> whole = true;
    in_chunks(entries_.size(), lists_at_a_time, threads, [&](std::size_t place) {
        if (stop) {
            whole = false;
        } else {
            need(place);
        }
    });
    if (whole) complete_.store(true, std::memory_order_release);
}

void ListUnpacker::unpack(std::size_t place) {
    auto& state = states_[place];
    const auto self = static_cast<std::int32_t>(getpid());
    auto seen = state.load(std::memory_order_acquire);
    for (;;) {
        require(!malformed_, "a list");
        if (seen == unpacked) return;
        if (seen == self) {
            state.wait(seen, std::memory_order_acquire);
            seen = state.load(std::memory_order_acquire);
        } else if (state.compare_exchange_weak(seen, self, std::memory_order_acquire)) {
            break;
        }
    }
    const auto leave = [&](std::int32_t reached) {
        state.store(reached, std::memory_order_release);
        state.notify_all();
    };
    try {
        put(place);
    } catch (const std::invalid_argument&) {
        malformed_ = true;
        leave(untouched);
        throw;
    } catch (...) {
        leave(untouched);
        throw;
    }
    leave(unpacked);
}

void ListUnpacker::put(std::size_t place) {
    const auto& entry = entries_[place];
    const auto begin = static_cast<std::size_t>(weight_starts_[place]);
    const std::span weights{reinterpret_cast<std::uint16_t*>(room_.weights.data() + begin),
                            postings(place)};
    require(unpack_weights(packed_.weights.subspan(entry.first_weight_byte, entry.weight_bytes),
                           weights) &&
                positive_and_finite(weights),
            "a weight");
    const auto bytes = packed_.documents.subspan(entry.first_document_byte, entry.document_bytes);
    if (places_.rows[place] < 0) {
        put_narrow(place, bytes);
    } else {
        put_wide(place, bytes);
    }
}

void ListUnpacker::put_narrow(std::size_t place, std::span<const std::uint8_t> bytes) {
    std::vector<std::int32_t> numbers;
    read_numbers(bytes, postings(place), order_.size(), numbers);
    const std::span documents{reinterpret_cast<const DocId*>(numbers.data()), numbers.size()};
    require(count_blocks(documents) == entries_[place].blocks, "a list's documents");
    put_list(index_, room_, place, documents);
}

void ListUnpacker::put_wide(std::size_t place, std::span<const std::uint8_t> bytes) {
    std::vector<std::int32_t> blocks;
    read_numbers(bytes, entries_[place].blocks, index_.block_count(), blocks);
    const auto row = static_cast<std::size_t>(places_.rows[place]);
    const auto begin = static_cast<std::size_t>(places_.mask_starts[row]);
    const auto masks = packed_.masks.subspan(begin, blocks.size());
    std::copy(masks.begin(), masks.end(), room_.masks.begin() + places_.mask_starts[row]);
    require(is_within(masks.back(), static_cast<std::size_t>(blocks.back()), order_.size()) &&
                put_wide_list(index_, room_, place, blocks),
            "a list's documents");
}

}  // namespace lsr
