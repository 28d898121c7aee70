// fastrpcd as seen by fastrpcctl: calls that wait, and answers as JSON.
//
// Every D-Bus type of org.fastrpc1 has one JSON form (a dictionary is an object, an array an array, a struct an array,
// an object path a string), so one reader serves all methods and properties.
#pragma once

#include "base/result.hpp"

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

struct sd_bus;
struct sd_bus_message;

namespace fastrpc::ctl {

using nlohmann::json;

/// Who an ExplainAccess is about, when it is not the caller.
struct Account {
    std::uint32_t uid = 0;
    std::vector<std::uint32_t> gids;
};

/// What an ExplainAccess asks.
struct Request {
    std::string domain;
    std::string pd;
    const Account* account = nullptr; ///< none: the caller
    std::vector<std::string> modules;
    std::string label;             ///< empty: the caller's
    std::uint32_t directories = 0; ///< that it would bring
};

/// A method without arguments of an object, or a property of it, that is asked for beside others.
struct Question {
    std::string path;
    std::string interface;
    std::string member;
    bool property = false;
};

/// A signal, or the answer to GetManagedObjects that listen() asks for.
struct BusEvent {
    std::string path;
    std::string member;
    json arguments; ///< array
};

class BusClient {
public:
    /// Connects to the system bus: of this machine, of `host` ("user@machine", over ssh), or of the container
    /// `machine`; both are empty for the first. Whether fastrpcd is there shows with the first call.
    static Result<BusClient> connect(const std::string& host = {}, const std::string& machine = {});
    BusClient(BusClient&&) noexcept = default;

    /// All arguments of the answer, as an array. ErrorKind::offline, with one clear line, when fastrpcd does not run;
    /// denied when it says AccessDenied; lost when it ended or stayed silent over the call; else the kind is system.
    /// The text is fastrpcd's own.
    Result<json> call(const std::string& path, const std::string& interface, const std::string& method);
    /// The same with one argument of type t.
    Result<json> call(const std::string& path, const std::string& interface, const std::string& method,
                      std::uint64_t argument);
    /// The same of a method of admins, with its arguments of type o: polkit may have a say in it, and takes its time.
    Result<json> order(const std::string& path, const std::string& interface, const std::string& method,
                       const std::vector<std::string>& objects = {});
    /// Whether polkit may put its questions about orders to people, and to the one at this terminal.
    void allow_questions(bool people, bool terminal) noexcept {
        people_ = people;
        terminal_ = people && terminal;
    }
    /// The first argument of each answer, in the order of the questions, which all wait at the same time: one silent
    /// host costs no more than its own answer. Null for what was not answered.
    Result<std::vector<json>> ask(const std::vector<Question>& questions);
    /// {path: {interface: {property: value}}} of everything that the caller may see.
    Result<json> objects();
    Result<json> property(const std::string& path, const std::string& interface, const std::string& name);
    /// All listed properties, as an object.
    Result<json> properties(const std::string& path, const std::string& interface);
    /// Calls `heard` for each signal of fastrpcd until it says false or SIGINT or SIGTERM comes (both are
    /// blocked from then on); neither is an error. What is there already is heard once, in its place among the signals,
    /// or without arguments when fastrpcd does not run.
    Status listen(const std::function<bool(const BusEvent&)>& heard);
    Result<json> explain(const Request& request);

private:
    struct Close {
        void operator()(sd_bus* bus) const noexcept;
    };
    explicit BusClient(sd_bus* bus) noexcept : bus_(bus) {}
    Result<json> call_with_leave(sd_bus_message* request);
    std::unique_ptr<sd_bus, Close> bus_;
    bool people_ = false;
    bool terminal_ = false;
};

} // namespace fastrpc::ctl
