#pragma once

#include <nanobind/nanobind.h>

void bind_marking(nanobind::module_& m);
