#include "tests/integration/hostile_cases.hpp"

#include "ipc/blob.hpp"

#include <array>
#include <fmt/core.h>
#include <span>

namespace fastrpc::test {
namespace {

using nlohmann::json;

constexpr int bad_parm = 0xE, unsupported = 0x14, no_such_mod = 0x3E, bad_file = 9;
constexpr std::array<std::uint64_t, 4> bad_lengths{0, 1, 1ULL << 31, (1ULL << 32) - 1};

/// A call that would succeed, whose field `key` holds a length. `$fd` is /fw/known, open for reading.
struct Length {
    const char* step;
    const char* key;
    std::array<int, 4> codes{bad_parm, bad_parm, bad_parm, bad_parm}; ///< for bad_lengths
};

// A text of length 0 is none, one of length 1 lacks its NUL (USERSPACE 5.1).
const Length lengths[] = {
    {R"({"do":"remotectl_open","name":"apps_std"})", "name_length"},
    {R"({"do":"fopen","name":"known"})", "name_length"},
    {R"({"do":"fopen","name":"known"})", "mode_length"},
    {R"({"do":"freopen","fd":"$fd","name":"known"})", "name_length"},
    {R"({"do":"freopen","fd":"$fd","name":"known"})", "mode_length"},
    {R"({"do":"print_string","text":"abc"})", "text_length"},
    {R"({"do":"getenv","name":"FW"})", "name_length"},
    {R"({"do":"setenv","name":"ab","value":"cd"})", "name_length"},
    {R"({"do":"setenv","name":"ab","value":"cd"})", "value_length"},
    {R"({"do":"unsetenv","name":"ab"})", "name_length"},
    {R"({"do":"fopen_with_env","env":"FW","name":"known"})", "env_length"},
    {R"({"do":"fopen_with_env","env":"FW","name":"known"})", "delimiter_length"},
    {R"({"do":"fopen_with_env","env":"FW","name":"known"})", "name_length"},
    {R"({"do":"fopen_with_env","env":"FW","name":"known"})", "mode_length"},
    {R"({"do":"fileExists","name":"known"})", "name_length"},
    {R"({"do":"fremove","name":"/rw/x"})", "name_length"},
    {R"({"do":"opendir","name":"dir"})", "name_length"},
    {R"({"do":"mkdir","name":"/rw/x"})", "name_length"},
    {R"({"do":"rmdir","name":"/rw/x"})", "name_length"},
    {R"({"do":"stat","name":"known"})", "name_length"},
    {R"({"do":"frename","from":"/rw/x","to":"/rw/y"})", "from_length"},
    {R"({"do":"frename","from":"/rw/x","to":"/rw/y"})", "to_length"},
    {R"({"do":"fopen_fd","name":"known"})", "name_length", {14, 14, 14, 14}},
    {R"({"do":"fopen_fd","name":"known"})", "mode_length", {14, 14, 14, 14}},
    {R"({"do":"fopen_with_env_fd","env":"FW","name":"known"})", "name_length", {14, 14, 14, 14}},
    {R"({"do":"fread","fd":"$fd","capacity":16})", "size", {0, 0, bad_parm, bad_parm}},
    {R"({"do":"fgets","fd":"$fd","capacity":16})", "size", {0, 0, bad_parm, bad_parm}},
    {R"({"do":"fgetpos","fd":"$fd","capacity":16})", "size", {0, 0, bad_parm, bad_parm}},
    {R"({"do":"fsetpos","fd":"$fd","pos":{"zeros":16}})", "pos_length", {bad_file, bad_file, bad_parm, bad_parm}},
    {R"({"do":"fwrite","fd":"$fd","data":{"zeros":16}})", "data_length", {bad_file, bad_file, bad_parm, bad_parm}},
    {R"({"do":"getenv","name":"FW","capacity":16})", "size", {0, 0, bad_parm, bad_parm}},
    {R"({"do":"remotectl_close","handle":"$std","capacity":16})", "error", {0, 0, bad_parm, bad_parm}},
};

/// A sound call, to be spoilt.
struct Sample {
    const char* name;
    const char* interface;
    unsigned method;
    std::vector<std::string> inputs; ///< the first is primIn
    std::vector<std::uint32_t> capacities;
};

template<class... Words>
std::string words(Words... values) {
    std::string bytes;
    for (const std::uint32_t value : {static_cast<std::uint32_t>(values)...})
        bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
    return bytes;
}
std::string text(std::string_view value) {
    return std::string(value) + '\0';
}

std::vector<Sample> samples() {
    return {
        {"remotectl_open", "", 0, {words(9, 255), text("apps_std")}, {8, 255}},
        {"fopen", "apps_std", 0, {words(6, 2), text("known"), text("r")}, {4}},
        {"fopen_with_env", "apps_std", 19, {words(3, 2, 6, 2), text("FW"), text(";"), text("known"), text("r")}, {4}},
        {"fread", "apps_std", 4, {words(100, 32)}, {8, 32}},
        {"setenv", "apps_std", 17, {words(2, 2, 1), text("a"), text("b")}, {}},
        {"search paths", "apps_std", 21, {words(3, 2, 1), text("FW"), text(";"), words(64)}, {6, 64}},
        {"opendir", "apps_std", 26, {words(4), text("dir")}, {8}},
        {"readdir", "apps_std", 28, {words(1, 0)}, {264}},
        {"stat", "apps_std", 31, {words(31, 6), text("known")}, {96}},
        {"frename", "apps_std", 31, {words(33, 6, 6), text("/rw/x"), text("/rw/y")}, {}},
        {"request_map", "apps_mem", 0, {words(25, 0, 0x1000, 0, 4096)}, {8}},
        {"request_map64", "apps_mem", 2, {words(25, 0, 0x1000, 0, 0, 0, 4096, 0)}, {16}},
        {"request_unmap64", "apps_mem", 3, {words(1, 0, 4096, 0)}, {}},
    };
}

std::string hex(std::span<const std::byte> bytes) {
    std::string digits;
    for (const std::byte byte : bytes) digits += fmt::format("{:02x}", std::to_integer<unsigned>(byte));
    return digits;
}

// Where the length words of a blob are (USERSPACE 4.5).
std::vector<std::size_t> length_words(const Sample& sample) {
    std::vector<std::size_t> places;
    std::size_t at = 0;
    for (const std::string& input : sample.inputs) {
        places.push_back(at);
        at += 4;
        if (!input.empty()) at = (at + 7) / 8 * 8 + input.size();
    }
    for (std::size_t i = 0; i < sample.capacities.size(); ++i) places.push_back(at + 4 * i);
    return places;
}

json target(const char* interface) {
    return *interface == '\0' ? json{{"do", "raw"}, {"handle", 0}} : json{{"do", "raw"}, {"interface", interface}};
}

/// Each method with its buffers, primIn and primOut included (USERSPACE 4.7, 5.2, 6.1).
struct Shape {
    const char* interface;
    std::uint32_t method;
    unsigned inputs, outputs;
};
const Shape shapes[] = {
    {"", 0, 2, 2},          {"", 1, 1, 2},          {"apps_std", 0, 3, 1},  {"apps_std", 1, 3, 1},
    {"apps_std", 2, 1, 0},  {"apps_std", 3, 1, 0},  {"apps_std", 4, 1, 2},  {"apps_std", 5, 2, 1},
    {"apps_std", 6, 1, 2},  {"apps_std", 7, 2, 0},  {"apps_std", 8, 1, 1},  {"apps_std", 9, 1, 0},
    {"apps_std", 10, 1, 1}, {"apps_std", 11, 1, 0}, {"apps_std", 12, 1, 1}, {"apps_std", 13, 1, 1},
    {"apps_std", 14, 1, 0}, {"apps_std", 15, 2, 0}, {"apps_std", 16, 2, 2}, {"apps_std", 17, 3, 0},
    {"apps_std", 18, 2, 0}, {"apps_std", 19, 5, 1}, {"apps_std", 20, 1, 2}, {"apps_std", 22, 2, 1},
    {"apps_std", 23, 1, 0}, {"apps_std", 24, 2, 0}, {"apps_std", 26, 2, 1}, {"apps_std", 27, 1, 0},
    {"apps_std", 28, 1, 1}, {"apps_std", 29, 2, 0}, {"apps_std", 30, 2, 0}, {"apps_std", 31, 2, 1},
    {"apps_std", 32, 1, 0}, {"apps_std", 33, 3, 0}, {"apps_mem", 0, 1, 1},  {"apps_mem", 1, 1, 0},
    {"apps_mem", 2, 1, 1},  {"apps_mem", 3, 1, 0},  {"apps_std", 34, 3, 1}, {"apps_std", 35, 1, 0},
    {"apps_std", 36, 5, 1},
};

HostileCase shaped(const Shape& shape, const char* what, unsigned inputs, unsigned outputs, std::size_t prim) {
    json step = target(shape.interface);
    step["method"] = std::min(shape.method, 31U);
    step["in"] = json::array();
    step["out"] = json::array();
    for (unsigned i = 0; i < inputs; ++i) step["in"].push_back({{"zeros", i == 0 ? prim : 8}});
    // The id of an extended method is the first word, as far as primIn has one.
    if (shape.method >= 31 && inputs > 0 && prim >= 4)
        step["in"][0] = json::array({shape.method, {{"zeros", prim - 4}}});
    for (unsigned i = 0; i < outputs; ++i) step["out"].push_back(512);
    const char* interface = *shape.interface == '\0' ? "apps_remotectl" : shape.interface;
    return {fmt::format("{} {} with {}", interface, shape.method, what), json::array({step}), json::array({bad_parm})};
}

} // namespace

HostileCases wrong_lengths() {
    HostileCases cases;
    for (const Length& length : lengths)
        for (std::size_t i = 0; i < bad_lengths.size(); ++i) {
            json step = json::parse(length.step);
            step[length.key] = bad_lengths.at(i);
            cases.push_back(
                {fmt::format("{} with {} {:#x}", step["do"].get<std::string>(), length.key, bad_lengths.at(i)),
                 json::array({{{"do", "fopen"}, {"name", "known"}, {"as", "fd"}},
                              {{"do", "remotectl_open"}, {"name", "apps_std"}, {"as", "std"}},
                              step,
                              {{"do", "fclose"}, {"fd", "$fd"}}}),
                 json::array({0, 0, length.codes.at(i), 0}),
                 {}});
        }
    for (const std::uint64_t slots : {1ULL, 1ULL << 31, (1ULL << 32) - 1})
        cases.push_back({fmt::format("search paths with {:#x} slots and no room", slots),
                         json::array({{{"do", "raw"},
                                       {"interface", "apps_std"},
                                       {"method", 21},
                                       {"in", json::array({json::array({3, 2, slots}), "FW", ";", {{"zeros", 0}}})},
                                       {"out", json::array({6})}}}),
                         json::array({bad_parm})});
    return cases;
}

HostileCases wrong_blobs() {
    HostileCases cases;
    for (const Sample& sample : samples()) {
        std::vector<std::span<const std::byte>> inputs;
        for (const std::string& input : sample.inputs) inputs.push_back(std::as_bytes(std::span(input)));
        const auto blob = encode_request(inputs, sample.capacities);
        json sound = target(sample.interface);
        sound["sc"] = Scalars::make(sample.method, static_cast<unsigned>(inputs.size()),
                                    static_cast<unsigned>(sample.capacities.size()))
                          .word;
        sound["blob"] = {{"hex", hex(blob)}};
        const auto add = [&](const std::string& what, const char* key, json value) {
            json step = sound;
            step[key] = std::move(value);
            cases.push_back({fmt::format("{} {}", sample.name, what), json::array({step}), json::array({bad_parm})});
        };
        for (const std::size_t word : length_words(sample)) {
            add(fmt::format("cut before its length word at {:#x}", word), "cut", word);
            add(fmt::format("cut in its length word at {:#x}", word), "cut", word + 3);
            for (const std::uint32_t lie : {0x80000000U, 0xFFFFFFFFU, 0xFFFFFFF8U})
                add(fmt::format("with length {:#x} at {:#x}", lie, word), "patch",
                    json::array({json::array({word, lie})}));
        }
    }
    return cases;
}

HostileCases wrong_shapes() {
    HostileCases cases;
    for (const Shape& shape : shapes) {
        cases.push_back(shaped(shape, "an input too many", shape.inputs + 1, shape.outputs, 64));
        cases.push_back(shaped(shape, "an output too many", shape.inputs, shape.outputs + 1, 64));
        cases.push_back(shaped(shape, "a primIn of 3 bytes", shape.inputs, shape.outputs, 3));
        cases.push_back(shaped(shape, "no buffer at all", 0, 0, 0));
    }
    // A method field of 31 alone names the id in primIn: without inputs there is none (USERSPACE 2.1).
    return cases;
}

HostileCases wrong_targets() {
    HostileCases cases;
    const auto add = [&](const char* name, const char* step, int code) {
        cases.push_back({name, json::array({json::parse(step)}), json::array({code})});
    };
    add("handle 0xFFFFFFFF", R"({"do":"raw","handle":"0xFFFFFFFF","method":0,"in":[],"out":[]})", no_such_mod);
    add("handle 0xFFFFFFFF with arguments",
        R"({"do":"raw","handle":"0xFFFFFFFF","method":4,"in":[[1,2]],"out":[8,32]})", no_such_mod);
    add("handle 1000", R"({"do":"raw","handle":1000,"method":0,"in":[],"out":[]})", no_such_mod);
    add("handle 0x7FFFFFFF", R"({"do":"raw","handle":"0x7FFFFFFF","method":0,"in":[],"out":[]})", no_such_mod);
    add("an unknown method of apps_remotectl", R"({"do":"raw","handle":0,"method":2,"in":[[1]],"out":[]})",
        unsupported);
    add("method 30 of apps_remotectl", R"({"do":"raw","handle":0,"method":30,"in":[],"out":[]})", unsupported);
    add("extended method 37 of apps_std", R"({"do":"raw","interface":"apps_std","method":31,"in":[[37]],"out":[]})",
        unsupported);
    add("extended method 2^32-1 of apps_std",
        R"({"do":"raw","interface":"apps_std","method":31,"in":[[4294967295]],"out":[]})", unsupported);
    add("extended method 2^31 of apps_std",
        R"({"do":"raw","interface":"apps_std","method":31,"in":[[2147483648]],"out":[]})", unsupported);
    add("an extended method below 31", R"({"do":"raw","interface":"apps_std","method":31,"in":[[4,1,2]],"out":[8,32]})",
        unsupported);
    add("an extended method without its id", R"({"do":"raw","interface":"apps_std","method":31,"in":[],"out":[]})",
        bad_parm);
    add("an extended method with half an id",
        R"({"do":"raw","interface":"apps_std","method":31,"in":[{"hex":"1f00"}],"out":[]})", bad_parm);
    add("fdopen_decrypt, which Linux has not", R"({"do":"fdopen_decrypt","fd":100})", unsupported);
    add("an unknown method of apps_mem", R"({"do":"raw","interface":"apps_mem","method":8,"in":[[1]],"out":[]})",
        unsupported);
    add("method 30 of apps_mem", R"({"do":"raw","interface":"apps_mem","method":30,"in":[],"out":[]})", unsupported);
    add("an input handle", R"({"do":"raw","interface":"apps_std","sc":"0x03010010","in":[[100]],"out":[]})", bad_parm);
    add("fifteen output handles", R"({"do":"raw","interface":"apps_std","sc":"0x0301000F","in":[[100]],"out":[]})",
        bad_parm);
    add("255 inputs and outputs that are not there",
        R"({"do":"raw","interface":"apps_std","sc":"0x00FFFF00","blob":{"zeros":64}})", bad_parm);
    add("255 empty inputs and outputs",
        R"({"do":"raw","interface":"apps_std","sc":"0x00FFFF00","blob":{"zeros":2040}})", bad_parm);
    add("close of a handle that nobody opened", R"({"do":"remotectl_close","handle":77})", no_such_mod);
    add("close of handle 0", R"({"do":"remotectl_close","handle":0})", no_such_mod);
    add("close of handle 0xFFFFFFFF", R"({"do":"remotectl_close","handle":"0xFFFFFFFF"})", no_such_mod);
    // A name that nobody serves: the call succeeds, dlErr says no (USERSPACE 4.7).
    for (const char* name :
         {"apps_unknown", "../apps_std", "file:///libevil_skel.so?evil_skel_handle_invoke&_modver=1.0",
          "/lib/libc.so.6", "apps_std ", "APPS_STD", "sns_registry"})
        cases.push_back({fmt::format("open of interface \"{}\"", name),
                         json::array({{{"do", "remotectl_open"}, {"name", name}, {"as", "h"}},
                                      {{"do", "check"}, {"of", "$h"}, {"number", 0xFFFFFFFFU}},
                                      {{"do", "raw"}, {"handle", "$h"}, {"method", 0}, {"in", json::array()}}}),
                         json::array({0, 0, no_such_mod})});
    cases.push_back({"open of an interface name of 64 KiB",
                     json::parse(R"([{"do":"remotectl_open","name":[{"fill":65536,"byte":97},{"zeros":1}]}])"),
                     json::array({0})});
    cases.push_back({"a handle that was closed once too often",
                     json::parse(R"([{"do":"remotectl_open","name":"adspmsgd_apps","as":"h"},
                                     {"do":"remotectl_close","handle":"$h"},{"do":"remotectl_close","handle":"$h"},
                                     {"do":"raw","handle":"$h","method":0,"in":[{"zeros":16}]}])"),
                     json::array({0, 0, no_such_mod, no_such_mod})});
    return cases;
}

} // namespace fastrpc::test
