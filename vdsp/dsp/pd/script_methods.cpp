#include "vdsp/dsp/pd/script_methods.hpp"

#include "ipc/pack.hpp"
#include "ipc/scalars.hpp"

#include <algorithm>
#include <array>
#include <fmt/core.h>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>

namespace fastrpc::vdsp {
namespace {

using Json = nlohmann::json;
using enum ScriptSaves;

constexpr ScriptMethod methods[] = {
    {"remotectl_open", "", 0, "#name >error=255", "name", 8, word},
    {"remotectl_close", "", 1, "handle >error=255", "", 4},
    {"fopen", "apps_std", 0, "#name #mode", "name mode=r", 4, word},
    {"freopen", "apps_std", 1, "fd #name #mode", "name mode=r", 4, word},
    {"fflush", "apps_std", 2, "fd", ""},
    {"fclose", "apps_std", 3, "fd", ""},
    {"fread", "apps_std", 4, "fd >size", "", 8, counted},
    {"fwrite", "apps_std", 5, "fd #data", "data", 8, word},
    {"fgetpos", "apps_std", 6, "fd >size", "", 4, counted},
    {"fsetpos", "apps_std", 7, "fd #pos", "pos"},
    {"ftell", "apps_std", 8, "fd", "", 4, word},
    {"fseek", "apps_std", 9, "fd offset whence=0", ""},
    {"flen", "apps_std", 10, "fd", "", 8, wide},
    {"rewind", "apps_std", 11, "fd", ""},
    {"feof", "apps_std", 12, "fd", "", 4, word},
    {"ferror", "apps_std", 13, "fd", "", 4, word},
    {"clearerr", "apps_std", 14, "fd", ""},
    {"print_string", "apps_std", 15, "#text", "text"},
    {"getenv", "apps_std", 16, "#name >size=256", "name", 4, counted},
    {"setenv", "apps_std", 17, "#name #value override=1", "name value"},
    {"unsetenv", "apps_std", 18, "#name", "name"},
    {"fopen_with_env", "apps_std", 19, "#env #delimiter #name #mode", "env delimiter=; name mode=r", 4, word},
    {"fgets", "apps_std", 20, "fd >size=256", "", 4, buffer},
    {"fileExists", "apps_std", 22, "#name", "name", 1, byte},
    {"fsync", "apps_std", 23, "fd", ""},
    {"fremove", "apps_std", 24, "#name", "name"},
    {"fdopen_decrypt", "apps_std", 25, "fd", "", 4, word},
    {"opendir", "apps_std", 26, "#name", "name", 8, wide},
    {"closedir", "apps_std", 27, "dir:8", ""},
    {"readdir", "apps_std", 28, "dir:8", "", 264, prim},
    {"mkdir", "apps_std", 29, "#name mode=448", "name"},
    {"rmdir", "apps_std", 30, "#name", "name"},
    {"stat", "apps_std", 31, "#name", "name", 96, prim},
    {"ftrunc", "apps_std", 32, "fd length", ""},
    {"frename", "apps_std", 33, "#from #to", "from to"},
    {"fopen_fd", "apps_std", 34, "#name #mode", "name mode=r", 8, word},
    {"fclose_fd", "apps_std", 35, "fd", ""},
    {"fopen_with_env_fd", "apps_std", 36, "#env #delimiter #name #mode", "env delimiter=; name mode=r", 8, word},
    {"request_map", "apps_mem", 0, "heap=25 allocation_flags=0 flags address=0 size", "", 8, second_word},
    {"request_unmap", "apps_mem", 1, "address size", ""},
    {"request_map64", "apps_mem", 2, "heap=25 allocation_flags=0 flags address:8=0 size:8", "", 16, second_wide},
    {"request_unmap64", "apps_mem", 3, "address:8 size:8", ""},
    {"share_map", "apps_mem", 4, "fd size", "", 16, second_wide},
    {"share_unmap", "apps_mem", 5, "address:8 size", ""},
    {"dma_handle_map", "apps_mem", 6, "fd offset=0 size", ""},
    {"dma_handle_unmap", "apps_mem", 7, "fd size", ""},
};

std::vector<std::string> words(const char* text) {
    std::istringstream stream(text);
    return {std::istream_iterator<std::string>(stream), {}};
}

// The parts of one entry of ScriptMethod::scalars.
struct Scalar {
    char kind = ' '; // '#', '>' or ' '
    std::string name;
    bool is_wide = false;
    std::optional<std::uint64_t> absent;

    explicit Scalar(std::string word) {
        if (word[0] == '#' || word[0] == '>') {
            kind = word[0];
            word.erase(0, 1);
        }
        if (const auto equals = word.find('='); equals != word.npos) {
            absent = std::stoull(word.substr(equals + 1));
            word.erase(equals);
        }
        is_wide = word.ends_with(":8");
        if (is_wide) word.erase(word.size() - 2);
        name = word;
    }
};

} // namespace

const ScriptMethod* find_script_method(std::string_view name) {
    const auto* found = std::ranges::find(methods, name, &ScriptMethod::name);
    return found == std::end(methods) ? nullptr : found;
}

ScriptCall make_script_call(const ScriptMethod& method, const Json& step, const ScriptValues& values,
                            std::set<std::string>& keys) {
    const auto number = [&](const std::string& key, std::optional<std::uint64_t> absent) {
        keys.insert(key);
        if (step.contains(key)) return values.number(step[key]);
        if (!absent) throw ScriptError(fmt::format("{} needs \"{}\"", method.name, key));
        return *absent;
    };
    ScriptCall call;
    call.method = std::min(method.method, extended_method);
    for (const std::string& word : words(method.inputs)) {
        const auto equals = word.find('=');
        const std::string name = word.substr(0, equals);
        keys.insert(name);
        if (!step.contains(name) && equals == word.npos)
            throw ScriptError(fmt::format("{} needs \"{}\"", method.name, name));
        call.inputs.push_back(values.data(step.contains(name) ? step[name] : Json(word.substr(equals + 1))));
    }
    if (method.prim_out != 0) call.capacities.push_back(method.prim_out);
    Packer packer;
    if (method.method >= extended_method) packer.u32(method.method);
    std::size_t input = 0;
    for (const std::string& word : words(method.scalars)) {
        const Scalar scalar(word);
        if (scalar.kind == '#') {
            packer.u32(static_cast<std::uint32_t>(number(scalar.name + "_length", call.inputs.at(input).size())));
            ++input;
            continue;
        }
        const std::uint64_t value = number(scalar.name, scalar.absent);
        if (scalar.is_wide)
            packer.u64(value);
        else
            packer.u32(static_cast<std::uint32_t>(value));
        if (scalar.kind == '>') call.capacities.push_back(static_cast<std::uint32_t>(number("capacity", value)));
    }
    call.inputs.insert(call.inputs.begin(), packer.bytes());
    return call;
}

} // namespace fastrpc::vdsp
