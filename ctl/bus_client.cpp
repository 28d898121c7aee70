#include "ctl/bus_client.hpp"

#include "ctl/bus_json.hpp"

#include <cerrno>
#include <fmt/core.h>
#include <systemd/sd-bus.h>

namespace fastrpc::ctl {
namespace {

constexpr const char* service = "org.fastrpc1";
constexpr const char* manager_path = "/org/fastrpc1";
constexpr const char* manager = "org.fastrpc1.Manager";
constexpr std::uint64_t patience_us = 10'000'000;

struct Unref {
    void operator()(sd_bus_message* message) const noexcept { ::sd_bus_message_unref(message); }
};
using Message = std::unique_ptr<sd_bus_message, Unref>;

Result<json> call_bus(sd_bus* bus, sd_bus_message* request) {
    sd_bus_error error = SD_BUS_ERROR_NULL;
    sd_bus_message* raw = nullptr;
    const int called = ::sd_bus_call(bus, request, patience_us, &error, &raw);
    const Message answer(raw);
    if (called >= 0) return read_answer(answer.get());
    Error why{ErrorKind::system, -called, error.message != nullptr ? error.message : errno_text(-called)};
    if (::sd_bus_error_has_name(&error, SD_BUS_ERROR_SERVICE_UNKNOWN) != 0 ||
        ::sd_bus_error_has_name(&error, SD_BUS_ERROR_NAME_HAS_NO_OWNER) != 0)
        why = {ErrorKind::offline, -called,
               "fastrpcd is not running: nobody owns org.fastrpc1 on the system bus; try: systemctl start fastrpcd"};
    if (::sd_bus_error_has_name(&error, "org.fastrpc1.Error.AccessDenied") != 0) why.kind = ErrorKind::denied;
    if (::sd_bus_error_has_name(&error, SD_BUS_ERROR_NO_REPLY) != 0) why.kind = ErrorKind::lost;
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

Result<BusClient> BusClient::connect() {
    sd_bus* bus = nullptr;
    const int opened = ::sd_bus_open_system_with_description(&bus, "fastrpcctl");
    if (opened < 0)
        return fail(ErrorKind::offline,
                    "fastrpcd cannot be reached: no connection to the system bus: " + errno_text(-opened), -opened);
    return BusClient(bus);
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

Result<json> BusClient::explain(const std::string& domain, const std::string& pd, const Account* account) {
    const auto request = new_call(bus_.get(), manager_path, manager, "ExplainAccess");
    if (!request) return std::unexpected(request.error());
    sd_bus_message* call = request->get();
    int step = ::sd_bus_message_append(call, "ss", domain.c_str(), pd.c_str());
    if (step >= 0) step = ::sd_bus_message_open_container(call, 'a', "{sv}");
    if (account != nullptr) {
        if (step >= 0) step = ::sd_bus_message_append(call, "{sv}", "uid", "u", account->uid);
        if (step >= 0) step = ::sd_bus_message_open_container(call, 'e', "sv");
        if (step >= 0) step = ::sd_bus_message_append(call, "s", "gids");
        if (step >= 0) step = ::sd_bus_message_open_container(call, 'v', "au");
        if (step >= 0)
            step = ::sd_bus_message_append_array(call, 'u', account->gids.data(),
                                                 account->gids.size() * sizeof(std::uint32_t));
        for (int level = 0; level < 2; ++level)
            if (step >= 0) step = ::sd_bus_message_close_container(call);
    }
    if (step >= 0) step = ::sd_bus_message_close_container(call);
    if (step < 0) return fail_errno("making the question", -step);
    return call_bus(bus_.get(), call);
}

} // namespace fastrpc::ctl
