// Verbs that go on until somebody ends them wait for signals as for anything else.
#pragma once

#include "base/result.hpp"
#include "base/unique_fd.hpp"

#include <initializer_list>

namespace fastrpc::ctl {

/// A signalfd of these, which are blocked from now on. A reader of ours that goes away is then a failed write and no
/// signal.
Result<UniqueFd> signals(std::initializer_list<int> numbers);

} // namespace fastrpc::ctl
