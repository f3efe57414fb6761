// Loops over threads.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <future>
#include <system_error>
#include <vector>

namespace lsr {

// Runs work(begin, end) over parts of [0, count) at once; what one throws is thrown on. Parts for
// which the system gives no thread are done by this one.
template <typename Work>
void in_parallel(std::size_t count, unsigned threads, const Work& work) {
    std::vector<std::future<void>> others;
    const std::size_t parts = std::max(threads, 1U);
    std::size_t started = 1;
    try {
        for (; started < parts; ++started) {
            others.push_back(std::async(std::launch::async, work, count * started / parts,
                                        count * (started + 1) / parts));
        }
    } catch (const std::system_error&) {
        // Memory, or the number of threads, is limited.
    }
    work(0, count / parts);
    for (auto part = started; part < parts; ++part) {
        work(count * part / parts, count * (part + 1) / parts);
    }
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
