// Searches as Python asks for them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "array_bindings.hpp"
#include "block_index.hpp"

// A number for each block, or none where all documents may be returned.
using Mask = std::optional<Array<std::uint16_t>>;
// Of each document, ascending; where there are none, they follow those of the part before.
using Numbers = std::optional<Array<std::int64_t>>;

// Rankings over parts that are searched together; index/_core.pyi says what comes back.
nb::tuple search(const std::vector<const lsr::BlockIndex*>& indexes,
                 const std::vector<Mask>& masks, const std::vector<Numbers>& numbers,
                 const Array<std::int64_t>& indptr, const Array<std::int32_t>& terms,
                 const Array<float>& weights, std::size_t k, std::optional<Array<float>> floor,
                 double factor, std::int64_t budget_us, unsigned threads,
                 const std::string& kernels, int choice);
