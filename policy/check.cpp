#include "policy/check.hpp"

#include "settings/drop_ins.hpp"

#include <algorithm>

namespace fastrpc::policy {
namespace {

std::string_view file_name(const settings::DropIn& file) {
    return std::string_view(file.path).substr(file.path.rfind('/') + 1);
}

} // namespace

Result<CheckedPolicy> check_files(std::span<const std::string> paths) {
    std::vector<std::string> warnings;
    std::vector<settings::DropIn> files;
    for (const std::string& path : paths) {
        Result<settings::DropIn> file = settings::read_offline(path, warnings);
        if (!file) return std::unexpected(file.error());
        files.push_back(std::move(*file));
    }
    std::ranges::stable_sort(files, {}, file_name);
    Result<Policy> policy = Policy::compile(files, {}, warnings);
    if (!policy) return std::unexpected(policy.error());
    return CheckedPolicy{std::move(*policy), std::move(warnings)};
}

} // namespace fastrpc::policy
