#include "tests/integration/hostile_client_cases.hpp"

#include <array>
#include <fmt/core.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <thread>

namespace fastrpc::test {
namespace {

std::string opened(RawClient& client, const BusArguments& arguments) {
    return open_session_as(client.system(), client.user(), arguments).word();
}
ClientCase open_with(const std::string& name, std::string wanted, BusArguments arguments) {
    return {"open " + name, std::move(wanted),
            [arguments = std::move(arguments)](RawClient& client) { return opened(client, arguments); }};
}
ClientCase named(const char* domain, const char* pd, std::string wanted) {
    return open_with(fmt::format("\"{}\" on \"{}\"", pd, domain), std::move(wanted),
                     [=](sd_bus_message* call) { return ::sd_bus_message_append(call, "ssa{sv}", domain, pd, 0); });
}

/// One option of type `type`; basic types alone.
template<class T>
ClientCase option(const std::string& name, std::string wanted, const char* key, const char* type, T value) {
    return open_with("with " + name, std::move(wanted), [=](sd_bus_message* call) {
        return ::sd_bus_message_append(call, "ssa{sv}", "cdsp", "unsigned", 1, key, type, value);
    });
}
template<class T>
ClientCase twice(const char* key, const char* type, T value) {
    return open_with(fmt::format("with two options \"{}\"", key), "InvalidArgs", [=](sd_bus_message* call) {
        return ::sd_bus_message_append(call, "ssa{sv}", "cdsp", "unsigned", 2, key, type, value, key, type, value);
    });
}

/// `count` times the fd that `make` makes, as the module directories.
ClientCase directories(const char* name, std::string wanted, UniqueFd (*make)(), std::size_t count = 1) {
    return open_with(fmt::format("with {} as its directories", name), std::move(wanted), [=](sd_bus_message* call) {
        const UniqueFd fd = make();
        if (!fd) return -EBADF;
        int step = ::sd_bus_message_append(call, "ss", "cdsp", "unsigned");
        if (step >= 0) step = ::sd_bus_message_open_container(call, 'a', "{sv}");
        if (step >= 0) step = ::sd_bus_message_open_container(call, 'e', "sv");
        if (step >= 0) step = ::sd_bus_message_append(call, "s", "directories");
        if (step >= 0) step = ::sd_bus_message_open_container(call, 'v', "ah");
        if (step >= 0) step = ::sd_bus_message_open_container(call, 'a', "h");
        for (std::size_t i = 0; i < count && step >= 0; ++i) step = ::sd_bus_message_append(call, "h", fd.get());
        for (int level = 0; level < 4 && step >= 0; ++level) step = ::sd_bus_message_close_container(call);
        return step;
    });
}
UniqueFd opened_path(const char* path, int flags) {
    return UniqueFd(::open(path, flags | O_CLOEXEC));
}

/// Asks for `count` sessions at once over one connection, and reads no answer.
void ask_for(sd_bus* bus, int count) {
    for (int i = 0; i < count; ++i) {
        sd_bus_message* call = nullptr;
        ::sd_bus_message_new_method_call(bus, &call, "org.fastrpc1", "/org/fastrpc1", "org.fastrpc1.Manager",
                                         "OpenSession");
        std::uint64_t cookie = 0; // who asks for none wants no answer
        if (usual_arguments(call) >= 0) ::sd_bus_send(bus, call, &cookie);
        ::sd_bus_message_unref(call);
    }
    ::sd_bus_flush(bus);
}
ClientCase flood(const char* name, int connections, int each, std::chrono::milliseconds stay) {
    return {name, "ok", [=](RawClient& client) {
                as_user(client.user(), [&] {
                    std::vector<Bus> buses;
                    for (int i = 0; i < connections; ++i)
                        ask_for(buses.emplace_back(connect_bus(client.system())).get(), each);
                    std::this_thread::sleep_for(stay);
                });
                // When all that is over, a session is to be had again.
                std::string told;
                stack::eventually([&] { return (told = opened(client, usual_arguments)) == "ok"; }, 60s);
                return told;
            }};
}

} // namespace

ClientCases wrong_opens() {
    return {
        named("cdsp", "signed", "AccessDenied"),
        named("cdsp", "system-unsigned", "AccessDenied"),
        named("adsp", "unsigned", "AccessDenied"),
        named("gdsp1", "unsigned", "DomainOffline"),
        named("cdsp", "root", "Unsupported"),
        named("adsp", "audio", "Unsupported"),
        named("adsp", "sensors", "Unsupported"),
        named("cdsp", "", "NoSuchPd"),
        named("cdsp", "unsigned ", "NoSuchPd"),
        named("cdsp", "UNSIGNED", "NoSuchPd"),
        named("", "unsigned", "NoSuchDomain"),
        named("cdsp9", "unsigned", "NoSuchDomain"),
        named("/dev/fastrpc-cdsp", "unsigned", "NoSuchDomain"),
        named("cdsp\n", "unsigned", "NoSuchDomain"),
        open_with("with a name of 1 MiB", "NoSuchDomain",
                  [](sd_bus_message* call) {
                      return ::sd_bus_message_append(call, "ssa{sv}", std::string(1U << 20, 'c').c_str(), "unsigned",
                                                     0);
                  }),
        open_with("without options", "InvalidArgs",
                  [](sd_bus_message* call) { return ::sd_bus_message_append(call, "ss", "cdsp", "unsigned"); }),
        open_with("without arguments", "InvalidArgs", [](sd_bus_message*) { return 0; }),
        open_with(
            "with an argument more", "InvalidArgs",
            [](sd_bus_message* call) { return ::sd_bus_message_append(call, "ssa{sv}u", "cdsp", "unsigned", 0, 1U); }),
        open_with("with numbers for names", "InvalidArgs",
                  [](sd_bus_message* call) { return ::sd_bus_message_append(call, "uua{sv}", 3U, 1U, 0); }),
        open_with("with texts for options", "InvalidArgs",
                  [](sd_bus_message* call) {
                      return ::sd_bus_message_append(call, "ssa{ss}", "cdsp", "unsigned", 1, "lanes", "1");
                  }),
        {"a fifth session", "QuotaExceeded",
         [](RawClient& client) {
             std::vector<BusAnswer> sessions;
             for (int i = 0; i < 5; ++i) sessions.push_back(open_session_as(client.system(), client.user()));
             return sessions[3].word() == "ok" ? sessions[4].word() : "the fourth: " + sessions[3].word();
         }},
    };
}

ClientCases wrong_options() {
    constexpr std::uint64_t most = ~std::uint64_t{0};
    return {
        option("an unknown option", "InvalidArgs", "unsinged", "b", 1),
        option("an option without a name", "InvalidArgs", "", "u", 1U),
        option("an option's name in capitals", "InvalidArgs", "LANES", "u", 1U),
        option("0 lanes", "InvalidArgs", "lanes", "u", 0U),
        option("2^32 - 1 lanes", "ok", "lanes", "u", 0xFFFFFFFFU),
        option("signed lanes", "InvalidArgs", "lanes", "i", 4),
        option("lanes of 64 bits", "InvalidArgs", "lanes", "t", std::uint64_t{4}),
        option("lanes by a text", "InvalidArgs", "lanes", "s", "4"),
        option("no deadline", "InvalidArgs", "deadline-ms", "u", 0U),
        option("a deadline of 1 ms", "ok", "deadline-ms", "u", 1U),
        option("a deadline of 2^32 - 1 ms", "ok", "deadline-ms", "u", 0xFFFFFFFFU),
        option("a deadline of 64 bits", "InvalidArgs", "deadline-ms", "t", std::uint64_t{1000}),
        option("no memory", "ok", "memory", "t", std::uint64_t{0}),
        option("2^64 - 1 bytes of memory", "ok", "memory", "t", most),
        option("memory of 32 bits", "InvalidArgs", "memory", "u", 4096U),
        option("a label of 65 characters", "InvalidArgs", "label", "s",
               "12345678901234567890123456789012345678901234567890123456789012345"),
        option("a label with a line's end", "InvalidArgs", "label", "s", "one\ntwo"),
        option("a label with an escape", "InvalidArgs", "label", "s", "\x1b[31m"),
        option("a label beyond ASCII", "InvalidArgs", "label", "s", "\xc3\xa4"),
        option("no label", "ok", "label", "s", ""),
        option("a number as its label", "InvalidArgs", "label", "u", 1U),
        option("a text as its directories", "InvalidArgs", "directories", "s", "/"),
        twice("lanes", "u", 1U),
        twice("label", "s", "l"),
        directories("a pipe", "InvalidArgs",
                    [] {
                        std::array<int, 2> ends{-1, -1};
                        if (::pipe2(ends.data(), O_CLOEXEC) != 0) return UniqueFd();
                        const UniqueFd other(ends[1]);
                        return UniqueFd(ends[0]);
                    }),
        directories("an eventfd", "InvalidArgs", [] { return UniqueFd(::eventfd(0, EFD_CLOEXEC)); }),
        directories("a memfd", "InvalidArgs", [] { return UniqueFd(::memfd_create("directory", MFD_CLOEXEC)); }),
        directories("an ordinary file", "InvalidArgs", [] { return opened_path("/etc/passwd", O_RDONLY); }),
        directories("a device", "InvalidArgs", [] { return opened_path("/dev/null", O_RDONLY); }),
        directories("a path (O_PATH)", "InvalidArgs", [] { return opened_path("/", O_PATH | O_DIRECTORY); }),
        directories("a path (O_PATH) of a directory that it may not read", "InvalidArgs",
                    [] { return opened_path("/root", O_PATH | O_DIRECTORY); }),
        directories("the root of all", "ok", [] { return opened_path("/", O_RDONLY | O_DIRECTORY); }),
        directories("/proc", "InvalidArgs", [] { return opened_path("/proc", O_RDONLY | O_DIRECTORY); }),
        directories(
            "a directory twice", "ok", [] { return opened_path("/tmp", O_RDONLY | O_DIRECTORY); }, 2),
    };
}

ClientCases floods() {
    return {
        flood("sixty opens of one uid at once", 1, 60, 500ms),
        flood("sixty opens of one uid over ten connections", 10, 6, 500ms),
        flood("opens whose client leaves the bus at once", 1, 20, 0ms),
        flood("opens whose client leaves the bus at once, over ten connections", 10, 4, 0ms),
        flood("opens whose client leaves the bus a little later", 4, 4, 30ms),
        {"an open that wants no answer", "ok",
         [](RawClient& client) {
             as_user(client.user(), [&] {
                 const Bus bus = connect_bus(client.system());
                 sd_bus_message* call = nullptr;
                 ::sd_bus_message_new_method_call(bus.get(), &call, "org.fastrpc1", "/org/fastrpc1",
                                                  "org.fastrpc1.Manager", "OpenSession");
                 if (usual_arguments(call) >= 0) ::sd_bus_send(bus.get(), call, nullptr);
                 ::sd_bus_message_unref(call);
                 ::sd_bus_flush(bus.get());
                 std::this_thread::sleep_for(300ms);
             });
             return opened(client, usual_arguments);
         }},
        {"a session that is opened and closed, thirty times", "ok",
         [](RawClient& client) {
             std::string told = "ok";
             for (int i = 0; i < 30 && told == "ok"; ++i)
                 stack::eventually([&] { return (told = opened(client, usual_arguments)) == "ok"; });
             return told;
         }},
    };
}

} // namespace fastrpc::test
