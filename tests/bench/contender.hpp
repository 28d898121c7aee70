// One round of a contender: a program that measures itself and prints its numbers.
#pragma once

#include "tests/stack/process.hpp"

#include <chrono>
#include <initializer_list>
#include <sstream>

namespace fastrpc::bench {

/// Runs the program and reads what it prints into `numbers`, all of which must come.
inline Status run_contender(const stack::Launch& launch, std::initializer_list<double*> numbers) {
    const auto outcome = stack::run(launch, std::chrono::minutes(5));
    if (!outcome) return std::unexpected(outcome.error());
    std::istringstream in(outcome->output);
    for (double* number : numbers) in >> *number;
    if (outcome->code != 0 || !in)
        return fail(ErrorKind::system, launch.command.front() + " failed: " + outcome->output + outcome->errors);
    return {};
}

} // namespace fastrpc::bench
