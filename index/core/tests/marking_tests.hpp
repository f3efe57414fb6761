#pragma once

#include <random>

// Exits with 1 and the first difference.
void check_marking(std::mt19937& random);
