// The index that pack_lists packed, its lists unpacked as they are needed.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "builder.hpp"

namespace lsr {

struct PackedListsView {
    std::span<const std::uint8_t> terms, lengths, documents, weights;
    std::span<const BlockMask> masks;
};

// Thread-safe, but for `use`. A process that is forked goes on by itself.
class ListUnpacker {
public:
    // The bytes and the order may be anyone's, as in all that follows: raises std::invalid_argument
    // where they are malformed. Looks at all but the lists. What is packed stays with the caller,
    // until all is unpacked.
    ListUnpacker(const PackedListsView& packed, std::span<const DocId> order,
                 std::size_t vocabulary_size);

    // How many bytes `use` needs.
    [[nodiscard]] std::size_t room_size() const noexcept;
    // Before anything else: where to unpack to, all zeros. It stays with the caller too.
    void use(std::span<std::uint8_t> room);

    // Lists that were asked for by `need` are there, and hold what searches rely on.
    [[nodiscard]] const BlockIndex& index() const noexcept { return index_; }

    void need(std::size_t place) {
        if (!complete_.load(std::memory_order_acquire)) unpack(place);
    }
    // Unpacks all lists, or as many as it comes to before it is told to stop.
    void complete(unsigned threads, const std::atomic<bool>& stop);

    [[nodiscard]] bool is_complete() const noexcept { return complete_; }
    // Whether a list has been found malformed.
    [[nodiscard]] bool is_malformed() const noexcept { return malformed_; }

private:
    // What a list is, and where it begins in the packed documents and weights.
    struct Entry {
        std::size_t blocks, document_bytes, weight_bytes;
        std::size_t first_document_byte, first_weight_byte;
    };

    void read_terms(std::size_t vocabulary_size);
    void read_lengths();
    void unpack(std::size_t place);
    void put(std::size_t place);
    void put_narrow(std::size_t place, std::span<const std::uint8_t> bytes);
    void put_wide(std::size_t place, std::span<const std::uint8_t> bytes);
    [[nodiscard]] std::size_t postings(std::size_t place) const;

    PackedListsView packed_;
    std::span<const DocId> order_;
    std::vector<TermId> terms_;
    std::vector<Entry> entries_;
    std::vector<std::int64_t> weight_starts_;
    ListPlaces places_;
    ListRoom room_;
    BlockIndex index_;
    // By list: untouched, unpacked, or the process of which a thread is at it.
    std::vector<std::atomic<std::int32_t>> states_;
    std::atomic<bool> complete_ = false, malformed_ = false;
};

}  // namespace lsr
