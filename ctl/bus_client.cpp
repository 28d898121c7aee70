#include "ctl/bus_client.hpp"

#include "ctl/bus_json.hpp"
#include "ctl/password_agent.hpp"

#include <cerrno>
#include <fmt/core.h>
#include <optional>
#include <systemd/sd-bus.h>

namespace fastrpc::ctl {
namespace {

constexpr const char* service = "org.fastrpc1";
constexpr const char* manager_path = "/org/fastrpc1";
constexpr const char* manager = "org.fastrpc1.Manager";
constexpr std::uint64_t patience_us = 10'000'000;
// What fastrpcd gives polkit beside that: its rules, and people, where they may be asked.
constexpr std::uint64_t rules_us = 25'000'000;
constexpr std::uint64_t people_us = 120'000'000;

struct Unref {
    void operator()(sd_bus_message* message) const noexcept { ::sd_bus_message_unref(message); }
};
using Message = std::unique_ptr<sd_bus_message, Unref>;

Result<json> call_bus(sd_bus* bus, sd_bus_message* request, std::uint64_t limit_us = patience_us) {
    sd_bus_error error = SD_BUS_ERROR_NULL;
    sd_bus_message* raw = nullptr;
    const int called = ::sd_bus_call(bus, request, limit_us, &error, &raw);
    const Message answer(raw);
    if (called >= 0) return read_answer(answer.get());
    Error why{ErrorKind::system, -called, error.message != nullptr ? error.message : errno_text(-called)};
    if (::sd_bus_error_has_name(&error, SD_BUS_ERROR_SERVICE_UNKNOWN) != 0 ||
        ::sd_bus_error_has_name(&error, SD_BUS_ERROR_NAME_HAS_NO_OWNER) != 0)
        why = {ErrorKind::offline, -called,
               "fastrpcd is not running: nobody owns org.fastrpc1 on the system bus; try: systemctl start fastrpcd"};
    if (::sd_bus_error_has_name(&error, "org.fastrpc1.Error.AccessDenied") != 0) why.kind = ErrorKind::denied;
    if (::sd_bus_error_has_name(&error, SD_BUS_ERROR_NO_REPLY) != 0) why.kind = ErrorKind::lost;
    if (called == -ETIMEDOUT)
        why.text =
            fmt::format("fastrpcd has not answered for {} s; try: systemctl status fastrpcd", patience_us / 1'000'000);
    ::sd_bus_error_free(&error);
    return std::unexpected(std::move(why));
}

Result<Message> new_call(sd_bus* bus, const char* path, const char* interface, const char* method) {
    sd_bus_message* raw = nullptr;
    const int made = ::sd_bus_message_new_method_call(bus, &raw, service, path, interface, method);
    if (made < 0) return fail_errno(fmt::format("making a call of {}", method), -made);
    return Message(raw);
}

} // namespace

void BusClient::Close::operator()(sd_bus* bus) const noexcept {
    ::sd_bus_flush_close_unref(bus);
}

Result<BusClient> BusClient::connect(const std::string& host, const std::string& machine) {
    if (!host.empty() && !machine.empty())
        return fail(ErrorKind::invalid, "-H and -M are two places: give one of them", EINVAL);
    sd_bus* raw = nullptr;
    int opened = !host.empty()      ? ::sd_bus_open_system_remote(&raw, host.c_str())
                 : !machine.empty() ? ::sd_bus_open_system_machine(&raw, machine.c_str())
                                    : ::sd_bus_open_system_with_description(&raw, "fastrpcctl");
    BusClient client(raw);
    // What leads there has only been started: here it is known whether it got there.
    const char* name = nullptr;
    if (opened >= 0) opened = ::sd_bus_get_unique_name(raw, &name);
    if (opened < 0)
        return fail(ErrorKind::offline,
                    fmt::format("fastrpcd cannot be reached: no connection to the system bus{}{}: {}",
                                host.empty() && machine.empty() ? "" : " of ", host + machine, errno_text(-opened)),
                    -opened);
    return client;
}

Result<json> BusClient::call(const std::string& path, const std::string& interface, const std::string& method) {
    const auto request = new_call(bus_.get(), path.c_str(), interface.c_str(), method.c_str());
    if (!request) return std::unexpected(request.error());
    return call_bus(bus_.get(), request->get());
}

Result<json> BusClient::call(const std::string& path, const std::string& interface, const std::string& method,
                             std::uint64_t argument) {
    const auto request = new_call(bus_.get(), path.c_str(), interface.c_str(), method.c_str());
    if (!request) return std::unexpected(request.error());
    const int filled = ::sd_bus_message_append(request->get(), "t", argument);
    if (filled < 0) return fail_errno(fmt::format("making a call of {}", method), -filled);
    return call_bus(bus_.get(), request->get());
}

Result<json> BusClient::order(const std::string& path, const std::string& interface, const std::string& method,
                              const std::vector<std::string>& objects) {
    const auto request = new_call(bus_.get(), path.c_str(), interface.c_str(), method.c_str());
    if (!request) return std::unexpected(request.error());
    for (const std::string& object : objects)
        if (const int filled = ::sd_bus_message_append(request->get(), "o", object.c_str()); filled < 0)
            return fail_errno(fmt::format("making a call of {}", method), -filled);
    return call_with_leave(request->get());
}

Result<json> BusClient::call_with_leave(sd_bus_message* request) {
    const int allowed = ::sd_bus_message_set_allow_interactive_authorization(request, people_ ? 1 : 0);
    if (allowed < 0) return fail_errno("allowing polkit's questions", -allowed);
    std::optional<PasswordAgent> agent;
    if (terminal_) agent.emplace();
    return call_bus(bus_.get(), request, patience_us + (people_ ? people_us : rules_us));
}

Result<json> BusClient::objects() {
    auto answer = call(manager_path, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects");
    if (!answer) return answer;
    return answer->empty() ? json::object() : answer->at(0);
}

Result<json> BusClient::property(const std::string& path, const std::string& interface, const std::string& name) {
    const auto request = new_call(bus_.get(), path.c_str(), "org.freedesktop.DBus.Properties", "Get");
    if (!request) return std::unexpected(request.error());
    const int filled = ::sd_bus_message_append(request->get(), "ss", interface.c_str(), name.c_str());
    if (filled < 0) return fail_errno("asking for a property", -filled);
    auto answer = call_bus(bus_.get(), request->get());
    if (!answer) return answer;
    return answer->empty() ? json() : answer->at(0);
}

Result<json> BusClient::properties(const std::string& path, const std::string& interface) {
    const auto request = new_call(bus_.get(), path.c_str(), "org.freedesktop.DBus.Properties", "GetAll");
    if (!request) return std::unexpected(request.error());
    const int filled = ::sd_bus_message_append(request->get(), "s", interface.c_str());
    if (filled < 0) return fail_errno("asking for properties", -filled);
    auto answer = call_bus(bus_.get(), request->get());
    if (!answer) return answer;
    return answer->empty() ? json::object() : answer->at(0);
}

Result<std::vector<json>> BusClient::ask(const std::vector<Question>& questions) {
    // A system bus lets a connection have 128 calls open.
    constexpr std::size_t window = 64;
    struct SlotUnref {
        void operator()(sd_bus_slot* slot) const noexcept { ::sd_bus_slot_unref(slot); }
    };
    struct Wait {
        json answer;
        std::size_t* open = nullptr;
        std::unique_ptr<sd_bus_slot, SlotUnref> slot; // whatever ends this function ends the wait
    };
    std::vector<Wait> waits(questions.size());
    std::size_t open = 0;
    const auto heard = [](sd_bus_message* message, void* data, sd_bus_error*) {
        auto& wait = *static_cast<Wait*>(data);
        --*wait.open;
        if (::sd_bus_message_is_method_error(message, nullptr) > 0) return 0;
        const auto answer = read_answer(message);
        if (answer && !answer->empty()) wait.answer = answer->at(0);
        return 0;
    };
    for (std::size_t next = 0; next < questions.size() || open > 0;) {
        while (next < questions.size() && open < window) {
            const Question& question = questions[next];
            const auto request =
                question.property
                    ? new_call(bus_.get(), question.path.c_str(), "org.freedesktop.DBus.Properties", "Get")
                    : new_call(bus_.get(), question.path.c_str(), question.interface.c_str(), question.member.c_str());
            if (!request) return std::unexpected(request.error());
            int step = 0;
            if (question.property)
                step =
                    ::sd_bus_message_append(request->get(), "ss", question.interface.c_str(), question.member.c_str());
            waits[next].open = &open;
            sd_bus_slot* raw = nullptr;
            if (step >= 0)
                step = ::sd_bus_call_async(bus_.get(), &raw, request->get(), heard, &waits[next], patience_us);
            waits[next].slot.reset(raw);
            if (step < 0) return fail_errno("asking fastrpcd", -step);
            ++next, ++open;
        }
        int handled = ::sd_bus_process(bus_.get(), nullptr);
        if (handled == 0) handled = ::sd_bus_wait(bus_.get(), patience_us);
        if (handled < 0 && handled != -EINTR)
            return fail(ErrorKind::lost, "the connection to the system bus is gone: " + errno_text(-handled), -handled);
    }
    std::vector<json> answers;
    for (Wait& wait : waits) answers.push_back(std::move(wait.answer));
    return answers;
}

Result<json> BusClient::explain(const Request& asked) {
    const auto request = new_call(bus_.get(), manager_path, manager, "ExplainAccess");
    if (!request) return std::unexpected(request.error());
    sd_bus_message* call = request->get();
    int step = ::sd_bus_message_append(call, "ss", asked.domain.c_str(), asked.pd.c_str());
    const auto then = [&](auto append) {
        if (step >= 0) step = append();
    };
    const auto entry = [&](const char* key, const char* type, auto append) {
        then([&] { return ::sd_bus_message_open_container(call, 'e', "sv"); });
        then([&] { return ::sd_bus_message_append(call, "s", key); });
        then([&] { return ::sd_bus_message_open_container(call, 'v', type); });
        then(append);
        for (int level = 0; level < 2; ++level) then([&] { return ::sd_bus_message_close_container(call); });
    };
    then([&] { return ::sd_bus_message_open_container(call, 'a', "{sv}"); });
    if (const Account* account = asked.account) {
        entry("uid", "u", [&] { return ::sd_bus_message_append(call, "u", account->uid); });
        entry("gids", "au", [&] {
            return ::sd_bus_message_append_array(call, 'u', account->gids.data(),
                                                 account->gids.size() * sizeof(std::uint32_t));
        });
    }
    if (!asked.label.empty())
        entry("label", "s", [&] { return ::sd_bus_message_append(call, "s", asked.label.c_str()); });
    if (asked.directories != 0)
        entry("directories", "u", [&] { return ::sd_bus_message_append(call, "u", asked.directories); });
    if (!asked.modules.empty())
        entry("modules", "as", [&] {
            then([&] { return ::sd_bus_message_open_container(call, 'a', "s"); });
            for (const std::string& module : asked.modules)
                then([&] { return ::sd_bus_message_append(call, "s", module.c_str()); });
            return step < 0 ? step : ::sd_bus_message_close_container(call);
        });
    then([&] { return ::sd_bus_message_close_container(call); });
    if (step < 0) return fail_errno("making the question", -step);
    const bool oneself = asked.account == nullptr && asked.label.empty();
    return oneself ? call_bus(bus_.get(), call) : call_with_leave(call);
}

} // namespace fastrpc::ctl
