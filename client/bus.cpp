#include "client/bus.hpp"

#include "client/restarts.hpp"
#include "ipc/aee.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <fmt/core.h>
#include <memory>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <systemd/sd-bus.h>
#include <thread>
#include <vector>

namespace fastrpc::core {
namespace {

// Beside the wait for a DSP: two minutes for whoever is asked, where the rule asks; then a host may wait to be started,
// and up to 10 s in the kernel.
constexpr std::uint64_t patience_ms = 180'000;
constexpr const char* service = "org.fastrpc1";

template<class T, T* (*Unref)(T*)>
struct Unreferencer {
    void operator()(T* object) const noexcept { Unref(object); }
};
using Bus = std::unique_ptr<sd_bus, Unreferencer<sd_bus, sd_bus_flush_close_unref>>;
using Message = std::unique_ptr<sd_bus_message, Unreferencer<sd_bus_message, sd_bus_message_unref>>;
struct BusError {
    sd_bus_error raw = SD_BUS_ERROR_NULL;
    BusError() = default;
    BusError(const BusError&) = delete;
    ~BusError() { sd_bus_error_free(&raw); }
};

std::unexpected<Failure> failed(ErrorKind kind, std::string text, int os_error = 0) {
    return std::unexpected(failure_of({kind, os_error, std::move(text)}));
}

std::expected<Bus, Failure> connect(const char* address) {
    sd_bus* raw = nullptr;
    int result = 0;
    if (address == nullptr) {
        result = sd_bus_open_system_with_description(&raw, "libfastrpc");
    } else if ((result = sd_bus_new(&raw)) >= 0) {
        Bus bus(raw);
        raw = nullptr;
        if ((result = sd_bus_set_address(bus.get(), address)) >= 0 &&
            (result = sd_bus_set_bus_client(bus.get(), 1)) >= 0 && (result = sd_bus_start(bus.get())) >= 0)
            return bus;
    }
    if (result >= 0) return Bus(raw);
    return failed(ErrorKind::offline,
                  fmt::format("no connection to the {} bus: {}; is D-Bus running, and DBUS_SYSTEM_BUS_ADDRESS right?",
                              address == nullptr ? "system" : address, errno_text(-result)),
                  -result);
}

// All directories of the options, the caller's fds as well as those that are opened here.
struct Directories {
    std::vector<UniqueFd> opened;
    std::vector<int> all;
};

std::expected<Directories, Failure> open_directories(const fastrpc_open_options& options) {
    Directories directories;
    for (std::size_t i = 0; i < options.directory_count; ++i) {
        const char* path = options.directories[i];
        if (path == nullptr) return failed(ErrorKind::invalid, fmt::format("directory {} is NULL", i));
        UniqueFd fd(::open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        if (!fd) {
            const int os_error = errno;
            return failed(os_error == ENOENT ? ErrorKind::not_found : ErrorKind::system,
                          fmt::format("module directory {}: {}", path, errno_text(os_error)), os_error);
        }
        directories.all.push_back(fd.get());
        directories.opened.push_back(std::move(fd));
    }
    for (std::size_t i = 0; i < options.directory_fd_count; ++i) directories.all.push_back(options.directory_fds[i]);
    return directories;
}

// The program's name, made fit for a label: a name that fastrpcd would refuse is not the caller's mistake.
std::string default_label() {
    std::string label = std::string(program_invocation_short_name).substr(0, 64);
    std::ranges::replace_if(
        label, [](unsigned char c) { return c < ' ' || c > '~'; }, '?');
    return label;
}

int append_names(sd_bus_message* call, const char* key, const char* const* names, std::size_t count) {
    if (count == 0) return 0;
    int result = sd_bus_message_open_container(call, 'e', "sv");
    if (result >= 0) result = sd_bus_message_append(call, "s", key);
    if (result >= 0) result = sd_bus_message_open_container(call, 'v', "as");
    if (result >= 0) result = sd_bus_message_open_container(call, 'a', "s");
    for (std::size_t i = 0; i < count && result >= 0; ++i)
        result = names[i] == nullptr ? -EINVAL : sd_bus_message_append(call, "s", names[i]);
    for (int level = 0; level < 3 && result >= 0; ++level) result = sd_bus_message_close_container(call);
    return result;
}

int append_module_files(sd_bus_message* call, const fastrpc_open_options& options) {
    if (options.module_file_count == 0) return 0;
    int result = sd_bus_message_open_container(call, 'e', "sv");
    if (result >= 0) result = sd_bus_message_append(call, "s", "module-files");
    if (result >= 0) result = sd_bus_message_open_container(call, 'v', "a{sh}");
    if (result >= 0) result = sd_bus_message_open_container(call, 'a', "{sh}");
    for (std::size_t i = 0; i < options.module_file_count && result >= 0; ++i) {
        const auto& [name, fd] = options.module_files[i];
        result = name == nullptr ? -EINVAL : sd_bus_message_append(call, "{sh}", name, fd);
    }
    for (int level = 0; level < 3 && result >= 0; ++level) result = sd_bus_message_close_container(call);
    return result;
}

// What the options say, else what whoever started the program says (fastrpcctl run): programs that know nothing of
// queues then wait, too. A number that is none is no reason to fail.
std::uint32_t wait_of(const fastrpc_open_options& options) {
    if (options.wait_ms != 0) return options.wait_ms;
    const std::string_view text =
        ::secure_getenv("FASTRPC_WAIT_MS") != nullptr ? ::secure_getenv("FASTRPC_WAIT_MS") : "";
    std::uint32_t wait = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), wait);
    return error == std::errc() && end == text.data() + text.size() ? wait : 0;
}

int append_options(sd_bus_message* call, const fastrpc_open_options& options, const Directories& directories,
                   std::uint32_t wait_ms) {
    int result = sd_bus_message_open_container(call, 'a', "{sv}");
    const auto add = [&](const char* key, const char* type, auto value) {
        if (result >= 0) result = sd_bus_message_append(call, "{sv}", key, type, value);
    };
    if (!directories.all.empty()) {
        if (result >= 0) result = sd_bus_message_open_container(call, 'e', "sv");
        if (result >= 0) result = sd_bus_message_append(call, "s", "directories");
        if (result >= 0) result = sd_bus_message_open_container(call, 'v', "ah");
        if (result >= 0) result = sd_bus_message_open_container(call, 'a', "h");
        for (const int fd : directories.all)
            if (result >= 0) result = sd_bus_message_append(call, "h", fd);
        for (int level = 0; level < 3; ++level)
            if (result >= 0) result = sd_bus_message_close_container(call);
    }
    if (result >= 0) result = append_names(call, "modules", options.modules, options.module_count);
    if (result >= 0) result = append_names(call, "attributes", options.attributes, options.attribute_count);
    if (result >= 0) result = append_module_files(call, options);
    const std::string label = options.label != nullptr ? options.label : default_label();
    add("label", "s", label.c_str());
    if (options.deadline_ms != 0) add("deadline-ms", "u", options.deadline_ms);
    if (options.lanes != 0) add("lanes", "u", options.lanes);
    if (options.memory != 0) add("memory", "t", options.memory);
    if (wait_ms != 0) add("wait-ms", "u", wait_ms);
    if (options.priority != 0) add("priority", "u", options.priority);
    if (options.stack != 0) add("stack", "u", options.stack);
    return result < 0 ? result : sd_bus_message_close_container(call);
}

// One entry of `granted`; keys that are not known here are skipped.
int read_granted(sd_bus_message* reply, SessionInfo& info) {
    const char* key = nullptr;
    int result = sd_bus_message_read(reply, "s", &key);
    if (result < 0) return result;
    const std::string_view name(key);
    const auto number = [&](auto& value, const char* type) { return sd_bus_message_read(reply, "v", type, &value); };
    const auto words = [&](std::string& value) {
        const char* text = nullptr;
        const int read = sd_bus_message_read(reply, "v", "s", &text);
        if (read >= 0) value = text;
        return read;
    };
    if (name == "rule") return words(info.rule);
    if (name == "file") return words(info.file);
    if (name == "line") return number(info.line, "u");
    if (name == "lanes") return number(info.lanes, "u");
    if (name == "memory") return number(info.memory, "t");
    if (name == "buffers") return number(info.buffers, "u");
    if (name == "deadline-ms") return number(info.deadline_ms, "u");
    return sd_bus_message_skip(reply, "v");
}

std::expected<Opened, Failure> read_reply(sd_bus_message* reply) {
    Opened opened;
    const char* path = nullptr;
    int borrowed = -1;
    int result = sd_bus_message_read(reply, "oh", &path, &borrowed);
    if (result >= 0) result = sd_bus_message_enter_container(reply, 'a', "{sv}");
    while (result >= 0 && (result = sd_bus_message_enter_container(reply, 'e', "sv")) > 0) {
        result = read_granted(reply, opened.info);
        if (result >= 0) result = sd_bus_message_exit_container(reply);
    }
    if (result < 0)
        return failed(ErrorKind::protocol,
                      fmt::format("fastrpcd answered OpenSession wrongly: {}", errno_text(-result)));
    opened.info.path = path;
    opened.socket.reset(::fcntl(borrowed, F_DUPFD_CLOEXEC, 3));
    if (!opened.socket) return failed(ErrorKind::system, "keeping the session socket: " + errno_text(errno), errno);
    int type = 0;
    socklen_t size = sizeof type;
    if (::getsockopt(opened.socket.get(), SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != SOCK_SEQPACKET)
        return failed(ErrorKind::protocol, "fastrpcd answered OpenSession with something that is no session socket");
    return opened;
}

Failure refusal(const sd_bus_error& error, int result) {
    if (error.name == nullptr)
        return failure_of({ErrorKind::system, -result, "asking fastrpcd for a session: " + errno_text(-result)});
    Failure failure{aee_of_bus_error(error.name), error.name, error.message != nullptr ? error.message : error.name};
    if (failure.code == aee::conn_refused && !std::string_view(error.name).starts_with(service))
        failure.text += "; fastrpcd is not running on this bus: start it (systemctl start fastrpcd)";
    return failure;
}

// Whether the bus starts fastrpcd for whoever asks for it.
bool is_activatable(sd_bus* bus) {
    char** names = nullptr;
    if (sd_bus_list_names(bus, nullptr, &names) < 0) return false;
    bool found = false;
    for (char** name = names; name != nullptr && *name != nullptr; ++name) {
        found = found || std::string_view(*name) == service;
        std::free(*name);
    }
    std::free(names);
    return found;
}

// One request, over a connection that is the caller's to keep as long as fastrpcd shall believe in it.
std::expected<Opened, Failure> ask(sd_bus* bus, const fastrpc_open_options& options, const Directories& directories,
                                   std::uint32_t wait_ms, std::chrono::microseconds limit) {
    const char* domain = options.domain != nullptr ? options.domain : "cdsp";
    sd_bus_message* raw = nullptr;
    int result =
        sd_bus_message_new_method_call(bus, &raw, service, "/org/fastrpc1", "org.fastrpc1.Manager", "OpenSession");
    const Message call(raw);
    // A rule that asks is there to have people asked.
    if (result >= 0) result = sd_bus_message_set_allow_interactive_authorization(call.get(), 1);
    if (result >= 0)
        result = sd_bus_message_append(call.get(), "ss", domain, options.pd != nullptr ? options.pd : "unsigned");
    if (result >= 0) result = append_options(call.get(), options, directories, wait_ms);
    if (result < 0)
        return failed(ErrorKind::invalid,
                      "the options can't be sent (text that is not UTF-8, a name that is NULL, or a bad fd): " +
                          errno_text(-result));
    BusError error;
    sd_bus_message* raw_reply = nullptr;
    result = sd_bus_call(bus, call.get(), static_cast<std::uint64_t>(limit.count()), &error.raw, &raw_reply);
    const Message reply(raw_reply);
    if (result < 0) return std::unexpected(refusal(error.raw, result));
    auto opened = read_reply(reply.get());
    if (opened) opened->info.domain = domain;
    return opened;
}

} // namespace

std::expected<Opened, Failure> open_on_bus(const fastrpc_open_options& options) {
    using namespace std::chrono;
    auto directories = open_directories(options);
    if (!directories) return std::unexpected(std::move(directories.error()));
    const auto begin = Restarts::Clock::now();
    const milliseconds wait(wait_of(options)), all = wait + milliseconds(patience_ms);
    Restarts restarts(begin + all);
    for (;;) {
        auto bus = connect(options.bus_address);
        if (!bus) return std::unexpected(std::move(bus.error()));
        const auto gone = duration_cast<milliseconds>(Restarts::Clock::now() - begin);
        const auto left = static_cast<std::uint32_t>(std::max(wait - gone, milliseconds(0)).count());
        auto opened = ask(bus->get(), options, *directories, left, std::max(all - gone, milliseconds(1)));
        if (opened) return opened;
        Failure& failure = opened.error();
        const auto pause =
            restarts.pause_after(failure.name, Restarts::Clock::now(), [&] { return is_activatable(bus->get()); });
        if (!pause) {
            if (restarts.losses() > 0)
                failure.text += fmt::format("; fastrpcd went away {} times before it had answered, its log says why: "
                                            "journalctl -u fastrpcd",
                                            restarts.losses());
            return opened;
        }
        bus->reset(); // before the pause: fastrpcd, if it is still there, forgets this request
        std::this_thread::sleep_for(*pause);
    }
}

} // namespace fastrpc::core
