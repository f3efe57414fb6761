// Memory for large arrays in large pages, where the system gives them to who asks: looking up places
// all over an index then misses the cache of page addresses less.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <new>
#include <vector>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace lsr {

constexpr std::size_t large_page = std::size_t{1} << 21;

template <typename T>
struct LargePageAllocator {
    using value_type = T;

    LargePageAllocator() = default;
    template <typename U>
    explicit LargePageAllocator(const LargePageAllocator<U>&) noexcept {}

    [[nodiscard]] T* allocate(std::size_t count) {
        const auto bytes = count * sizeof(T);
        if (bytes < large_page) return static_cast<T*>(::operator new(bytes));
        const auto whole = (bytes + large_page - 1) / large_page * large_page;
        auto* memory = std::aligned_alloc(large_page, whole);
        if (memory == nullptr) throw std::bad_alloc();
#if defined(__linux__)
        // Small pages do as well where it is refused.
        (void)madvise(memory, whole, MADV_HUGEPAGE);
#endif
        return static_cast<T*>(memory);
    }

    void deallocate(T* memory, std::size_t count) noexcept {
        if (count * sizeof(T) < large_page) {
            ::operator delete(memory);
        } else {
            std::free(memory);
        }
    }

    template <typename U>
    bool operator==(const LargePageAllocator<U>&) const noexcept {
        return true;
    }
};

template <typename T>
using LargeVector = std::vector<T, LargePageAllocator<T>>;

}  // namespace lsr
