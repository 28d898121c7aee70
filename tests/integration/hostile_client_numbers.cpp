#include "tests/integration/hostile_client_cases.hpp"

#include <fmt/core.h>

namespace fastrpc::test {
namespace {

constexpr std::uint64_t page = 4096;
constexpr unsigned echo_method = 2, sum_method = 3;
constexpr std::uint32_t all_ones = 0xFFFFFFFF;

std::string allocate(RawClient& client, BufferRequest wanted) {
    return client.ask(client.session(), request(SessionOp::allocate_buffer, packed(wanted)));
}
std::string free_buffer(RawClient& client, BufferId which) {
    return client.ask(client.session(), request(SessionOp::free_buffer, packed(which)));
}
std::string invoke(RawClient& client, const std::vector<std::byte>& payload) {
    return client.ask(client.lane(), request(LaneOp::invoke, payload));
}

ClientCase of_size(const char* name, std::uint64_t size, std::string wanted) {
    return {fmt::format("allocate {}", name), std::move(wanted), [size](RawClient& client) {
                return allocate(client, {size, 0, 0});
            }};
}
/// Frees the id that `spoil` makes of a live one; the live one can be freed all the same.
ClientCase freeing(const char* name, std::uint32_t (*spoil)(std::uint32_t)) {
    return {fmt::format("free {}", name), "not-found", [spoil](RawClient& client) {
                const std::uint32_t live = client.buffer();
                const std::string told = free_buffer(client, {spoil(live), 0});
                return free_buffer(client, {live, 0}) == "ok" ? told : "what is live cannot be freed";
            }};
}

/// A call of the module with inline arguments of these lengths, of which `inputs` bytes come.
ClientCase call_of(const char* name, std::string wanted, Scalars scalars, std::vector<ArgumentDescriptor> arguments,
                   std::uint32_t told, std::size_t inputs) {
    return {fmt::format("call with {}", name), std::move(wanted), [=](RawClient& client) {
                return invoke(client, packed_call({client.module(), scalars.word, told, 0}, arguments,
                                                  std::vector<std::byte>(inputs)));
            }};
}
ClientCase with_scalars(const char* name, std::string wanted, std::uint32_t word) {
    return call_of(name, std::move(wanted), {word}, {}, 0, 0);
}

/// Sums `first`, and echoes as `second` beside it, both of one buffer of a page; ids are its own where they are 0.
ClientCase ranges(const char* name, std::string wanted, ArgumentDescriptor first,
                  std::optional<ArgumentDescriptor> second = {}) {
    return {
        fmt::format("range: {}", name), std::move(wanted), [=](RawClient& client) {
            const std::uint32_t own = client.buffer();
            std::vector<ArgumentDescriptor> arguments{first};
            arguments.push_back(second.value_or(ArgumentDescriptor{0, 0, 0, 8}));
            if (arguments[0].buffer == 0) arguments[0].buffer = own;
            if (second && arguments[1].buffer == 0) arguments[1].buffer = own;
            const unsigned method = second ? echo_method : sum_method;
            return invoke(client, packed_call({client.module(), Scalars::make(method, 1, 1).word, 0, 0}, arguments));
        }};
}

std::string sum_of(RawClient& client, std::uint32_t id) {
    return invoke(client, packed_call({client.module(), Scalars::make(sum_method, 1, 1).word, 0, 0},
                                      {{id, 0, 0, 8}, {0, 0, 0, 8}}));
}

std::string open_module(RawClient& client, std::vector<std::byte> uri) {
    return client.ask(client.lane(), request(LaneOp::open_module, std::move(uri)));
}
ClientCase uri(const char* name, std::string wanted, std::vector<std::byte> bytes) {
    return {fmt::format("open a module by {}", name), std::move(wanted),
            [bytes = std::move(bytes)](RawClient& client) { return open_module(client, bytes); }};
}
std::string close_module(RawClient& client, ModuleHandle which) {
    return client.ask(client.lane(), request(LaneOp::close_module, packed(which)));
}

} // namespace

ClientCases wrong_buffers() {
    constexpr std::uint64_t granted = 256U << 20;
    return {
        of_size("0 bytes", 0, "invalid"),
        of_size("1 byte", 1, "ok"),
        of_size("all that is granted", granted, "ok"),
        of_size("a byte more than is granted", granted + 1, "quota"),
        of_size("2^32 bytes", std::uint64_t{1} << 32, "quota"),
        of_size("2^46 + 1 bytes", (std::uint64_t{1} << 46) + 1, "invalid"),
        of_size("2^63 bytes", std::uint64_t{1} << 63, "invalid"),
        of_size("2^64 - 1 bytes, whose pages wrap", ~std::uint64_t{0}, "invalid"),
        {"allocate with a flag", "unsupported",
         [](RawClient& client) {
             return allocate(client, {page, 1, 0});
         }},
        {"allocate with all flags", "unsupported",
         [](RawClient& client) {
             return allocate(client, {page, all_ones, 0});
         }},
        {"allocate with the reserved field", "unsupported",
         [](RawClient& client) {
             return allocate(client, {page, 0, 1});
         }},
        {"allocate one byte more than is left", "quota",
         [](RawClient& client) {
             client.buffer(granted - page);
             return allocate(client, {page + 1, 0, 0});
         }},
        {"allocate as many as are granted and one more", "quota",
         [](RawClient& client) {
             for (int i = 0; i < 256; ++i)
                 if (const std::string told = allocate(client, {page, 0, 0}); told != "ok") return told + " too early";
             return allocate(client, {page, 0, 0});
         }},
        {"allocate and free 500 times", "ok",
         [](RawClient& client) {
             std::string told = "ok";
             for (int i = 0; i < 500 && told == "ok"; ++i)
                 if (told = allocate(client, {page, 0, 0}); told == "ok")
                     told = free_buffer(client, {client.answer_as<BufferReply>().id, 0});
             return told;
         }},
        freeing("0", [](std::uint32_t) { return std::uint32_t{0}; }),
        freeing("the id before", [](std::uint32_t id) { return id - 1; }),
        freeing("the id behind", [](std::uint32_t id) { return id + 1; }),
        freeing("the next life of its slot", [](std::uint32_t id) { return id + 0x100; }),
        freeing("2^32 - 1", [](std::uint32_t) { return all_ones; }),
        freeing("2^31", [](std::uint32_t) { return 1U << 31; }),
        {"free with the reserved field", "invalid",
         [](RawClient& client) {
             return free_buffer(client, {client.buffer(), 1});
         }},
        {"free twice", "not-found",
         [](RawClient& client) {
             const std::uint32_t id = client.buffer();
             return free_buffer(client, {id, 0}) == "ok" ? free_buffer(client, {id, 0}) : "not freed";
         }},
        {"free what is another session's", "not-found",
         [](RawClient& client) {
             RawClient owner(client.system(), "games");
             static_cast<void>(owner.buffer());
             const std::uint32_t foreign = owner.buffer();
             const std::string told = free_buffer(client, {foreign, 0});
             return sum_of(owner, foreign) == "ok" ? told : "its owner has it no more";
         }},
        {"free what a call uses", "busy",
         [](RawClient& client) {
             const std::uint32_t id = client.buffer();
             constexpr unsigned wait_method = 7; // until the buffer says otherwise
             const std::vector<std::byte> wait =
                 packed_call({client.module(), Scalars::make(wait_method, 1, 0).word, 0, 0}, {{id, 0, 0, 8}});
             RawClient::say(client.lane(), request(LaneOp::invoke, wait));
             if (!client.in_flight(1)) return std::string("the call did not start");
             const std::string told = free_buffer(client, {id, 0});
             const std::uint32_t go = 1;
             if (::pwrite(client.buffers.front().get(), &go, sizeof go, 0) != sizeof go) return std::string("no word");
             const std::string ended = client.hear(client.lane());
             return ended == "ok" && free_buffer(client, {id, 0}) == "ok" ? told : "the call: " + ended;
         }},
    };
}

ClientCases wrong_modules() {
    const std::string longest = "file:///" + std::string(max_uri - 9 - 30, 'x') + "?a_skel_handle_invoke";
    ClientCases cases{
        uri("an empty text", "invalid", packed_text("")),
        uri("a text without NUL", "invalid", packed(std::array<char, 4>{'f', 'i', 'l', 'e'})),
        uri("a text with two NULs", "invalid", packed(std::array<char, 4>{'a', 0, 'b', 0})),
        uri("the longest text", "dsp 0x8000043e", packed_text(std::string(max_uri - 1, 'a'))),
        uri("a file that is not there", "dsp 0xfffffffb",
            packed_text("file:///libnone_skel.so?none_skel_handle_invoke&_modver=1.0&_dom=cdsp")),
        uri("a way out of its directory", "dsp 0xfffffffb",
            packed_text("file:///../../../etc/passwd?test_skel_handle_invoke&_modver=1.0&_dom=cdsp")),
        uri("another domain", "dsp 0x80000439",
            packed_text("file:///libtest_skel.so?test_skel_handle_invoke&_modver=1.0&_dom=adsp")),
        uri("a name without end", "dsp 0x80000404", packed_text(longest)),
        {"close a module with the reserved field", "invalid",
         [](RawClient& client) {
             return close_module(client, {client.module(), 1});
         }},
        {"close a module twice", "not-found",
         [](RawClient& client) {
             const std::uint32_t handle = client.module();
             return close_module(client, {handle, 0}) == "ok" ? close_module(client, {handle, 0}) : "not closed";
         }},
        {"call a module that was closed", "not-found",
         [](RawClient& client) {
             const std::uint32_t handle = client.module();
             if (close_module(client, {handle, 0}) != "ok") return std::string("not closed");
             return client.call(sum_method, 1, 8);
         }},
        {"close a module that a call is in", "busy",
         [](RawClient& client) {
             const UniqueFd second = client.another_lane();
             RawClient::say(second.get(), request(LaneOp::invoke, client.packed_sleep(1'000'000)));
             if (!client.in_flight(1)) return std::string("the call did not start");
             const std::string told = close_module(client, {client.module(), 0});
             return client.hear(second.get()) == "ok" ? told : "the call did not end well";
         }},
        {"open modules without end", "quota",
         [](RawClient& client) {
             const std::vector<std::byte> name = packed_text(test_module_uri);
             std::string told = "ok";
             for (int i = 0; i < 2000 && told == "ok"; ++i) told = open_module(client, name);
             return told;
         }},
    };
    for (const std::uint32_t handle : {0U, 1U, 2U, 3U, 4U, 9U, 0x7FFFFFFFU, all_ones}) {
        cases.push_back({fmt::format("call the handle {:#x}", handle), "not-found", [handle](RawClient& client) {
                             static_cast<void>(client.module());
                             return invoke(client, packed_call({handle, Scalars::make(0, 0, 0).word, 0, 0}, {}));
                         }});
        cases.push_back({fmt::format("close the handle {:#x}", handle), "not-found", [handle](RawClient& client) {
                             static_cast<void>(client.module());
                             return close_module(client, {handle, 0});
                         }});
    }
    return cases;
}

ClientCases wrong_calls() {
    constexpr auto one_in = Scalars::make(sum_method, 1, 1), none = Scalars::make(8, 0, 1);
    constexpr std::uint64_t wraps = ~std::uint64_t{0};
    return {
        with_scalars("attribute bits", "unsupported", Scalars::make(2, 0, 0).word | 1U << 29),
        with_scalars("all attribute bits", "unsupported", Scalars::make(2, 0, 0).word | 7U << 29),
        with_scalars("a method that there is not", "dsp 0x80000414", Scalars::make(30, 0, 0).word),
        with_scalars("the escape without its method", "dsp 0x80000414", Scalars::make(31, 0, 0).word),
        with_scalars("510 arguments and none sent", "ends", Scalars::make(2, 255, 255).word),
        with_scalars("every bit of the scalars", "ends", all_ones & ~(7U << 29) & ~0xFFU),
        call_of("inline bytes that did not come", "ends", one_in, {{0, 0, 0, 4}, {0, 0, 0, 8}}, 8, 0),
        call_of("inline bytes that are not told", "ends", one_in, {{0, 0, 0, 4}, {0, 0, 0, 8}}, 0, 8),
        call_of("2^32 - 1 inline bytes", "ends", one_in, {{0, 0, 0, 4}, {0, 0, 0, 8}}, all_ones, 8),
        call_of("inline bytes whose sum wraps", "ends", one_in, {{0, 0, 0, 4}, {0, 0, 0, 8}}, 0xFFFFFFC0, 8),
        call_of("inline bytes that no argument has", "ends", one_in, {{0, 0, 0, 0}, {0, 0, 0, 8}}, 8, 8),
        call_of("an argument longer than what came", "ends", one_in, {{0, 0, 0, 16}, {0, 0, 0, 8}}, 8, 8),
        call_of("an input of 2^31 bytes", "invalid", one_in, {{0, 0, 0, 1ULL << 31}, {0, 0, 0, 8}}, 8, 8),
        call_of("an input of 2^64 - 1 bytes", "invalid", one_in, {{0, 0, 0, wraps}, {0, 0, 0, 8}}, 8, 8),
        call_of("an input whose padding wraps", "invalid", one_in, {{0, 0, 0, wraps - 6}, {0, 0, 0, 8}}, 8, 8),
        call_of("an output of 64 KiB", "ok", none, {{0, 0, 0, max_inline}}, 0, 0),
        call_of("an output of a byte more", "invalid", none, {{0, 0, 0, max_inline + 1}}, 0, 0),
        call_of("an output of 2^64 - 1 bytes", "invalid", none, {{0, 0, 0, wraps}}, 0, 0),
        call_of("two outputs of 64 KiB together and a byte", "invalid", Scalars::make(8, 0, 2),
                {{0, 0, 0, max_inline}, {0, 0, 0, 1}}, 0, 0),
        call_of("outputs whose sum wraps", "invalid", Scalars::make(8, 0, 2), {{0, 0, 0, 8}, {0, 0, 0, wraps - 8}}, 0,
                0),
        call_of("an offset of an inline argument", "invalid", one_in, {{0, 0, 1, 4}, {0, 0, 0, 8}}, 8, 8),
        call_of("an inline argument's offset of 2^64 - 1", "invalid", none, {{0, 0, wraps, 8}}, 0, 0),
        call_of("the reserved field of an argument", "invalid", one_in, {{0, 1, 0, 4}, {0, 0, 0, 8}}, 8, 8),
        call_of("255 inputs of nothing", "dsp 0x8000040e", Scalars::make(2, 255, 0),
                std::vector<ArgumentDescriptor>(255), 0, 0),
        call_of("255 inputs and 255 outputs of nothing", "dsp 0x8000040e", Scalars::make(2, 255, 255),
                std::vector<ArgumentDescriptor>(510), 0, 0),
        call_of("64 KiB and a byte inline", "invalid", one_in, {{0, 0, 0, max_inline + 8}, {0, 0, 0, 8}},
                max_inline + 8, max_inline + 8),
        {"a deadline of 1 ms that passes", "ends: timeout",
         [](RawClient& client) {
             RawClient::say(client.lane(), request(LaneOp::invoke, client.packed_sleep(200'000, 1)));
             return client.hear(client.session());
         }},
        {"a deadline of 2^32 - 1 ms", "ok", [](RawClient& client) { return client.call(6, 1000, 0, all_ones); }},
    };
}

ClientCases wrong_ranges() {
    constexpr std::uint64_t last = ~std::uint64_t{0};
    return {
        ranges("all of it", "ok", {0, 0, 0, page}),
        ranges("a byte more", "invalid", {0, 0, 0, page + 1}),
        ranges("the last byte and the next", "invalid", {0, 0, page - 1, 2}),
        ranges("nothing, at its end", "ok", {0, 0, page, 0}),
        ranges("nothing, behind its end", "invalid", {0, 0, page + 1, 0}),
        ranges("2^32 bytes", "invalid", {0, 0, 0, 1ULL << 32}),
        ranges("2^64 - 1 bytes", "invalid", {0, 0, 0, last}),
        ranges("an end that wraps to the start", "invalid", {0, 0, page, last - page + 1}),
        ranges("an end that wraps into it", "invalid", {0, 0, 8, last - 3}),
        ranges("the offset 2^63", "invalid", {0, 0, 1ULL << 63, 4}),
        ranges("the offset 2^64 - 1", "invalid", {0, 0, last, 4}),
        ranges("the reserved field", "invalid", {0, 1, 0, 8}),
        ranges("a buffer 2^32 - 1", "not-found", {all_ones, 0, 0, 8}),
        ranges("a buffer that there is not", "not-found", {0x00ABCDEF, 0, 0, 8}),
        ranges("input and output the same", "invalid", {0, 0, 0, 8}, ArgumentDescriptor{0, 0, 0, 8}),
        ranges("input and output that share a byte", "invalid", {0, 0, 0, 9}, ArgumentDescriptor{0, 0, 8, 9}),
        ranges("one in the other", "invalid", {0, 0, 0, page}, ArgumentDescriptor{0, 0, 64, 64}),
        ranges("the output in front of the input", "ok", {0, 0, 1024, 1024}, ArgumentDescriptor{0, 0, 0, 1024}),
        ranges("the input in front of the output", "ok", {0, 0, 0, 1024}, ArgumentDescriptor{0, 0, 1024, 1024}),
        ranges("input and output side by side", "ok", {0, 0, 0, 8}, ArgumentDescriptor{0, 0, 8, 8}),
        {"range: of a buffer that was freed", "not-found",
         [](RawClient& client) {
             const std::uint32_t id = client.buffer();
             return free_buffer(client, {id, 0}) == "ok" ? sum_of(client, id) : "not freed";
         }},
        {"range: of a buffer of another session", "not-found",
         [](RawClient& client) {
             RawClient owner(client.system(), "games");
             static_cast<void>(owner.buffer());
             return sum_of(client, owner.buffer());
         }},
        {"range: of a buffer in a slot that was used before", "not-found",
         [](RawClient& client) {
             const std::uint32_t before = client.buffer();
             if (free_buffer(client, {before, 0}) != "ok") return std::string("not freed");
             return client.buffer() != before ? sum_of(client, before) : "its id came back";
         }},
    };
}

} // namespace fastrpc::test
