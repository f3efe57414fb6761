// Loops over threads.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <future>
#include <vector>

namespace lsr {

// Runs work(begin, end) over parts of [0, count) at once; what one throws is thrown on.
template <typename Work>
void in_parallel(std::size_t count, unsigned threads, const Work& work) {
    std::vector<std::future<void>> others;
    const std::size_t parts = std::max(threads, 1U);
    for (std::size_t part = 1; part < parts; ++part) {
        others.push_back(std::async(std::launch::async, work, count * part / parts,
                                    count * (part + 1) / parts));
    }
    work(0, count / parts);
    for (auto& other : others) other.get();
}

// Runs work(place) for each place of [0, count), threads taking some at a time.
template <typename Work>
void in_chunks(std::size_t count, std::size_t at_a_time, unsigned threads, const Work& work) {
    std::atomic<std::size_t> next{0};
    in_parallel(threads, threads, [&](std::size_t, std::size_t) {
        for (auto begin = next.fetch_add(at_a_time); begin < count;
             begin = next.fetch_add(at_a_time)) {
            const auto end = std::min(begin + at_a_time, count);
            for (auto place = begin; place < end; ++place) work(place);
        }
    });
}

}  // namespace lsr
