// Loops over threads.
#pragma once

#include <algorithm>
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

}  // namespace lsr
