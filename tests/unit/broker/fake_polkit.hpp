// polkit's name on a private bus, answered by the test one question at a time.
#pragma once

#include "tests/unit/broker/private_system.hpp"

#include <functional>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <systemd/sd-bus.h>
#include <utility>
#include <vector>

namespace fastrpc::broker::test {

class FakePolkit {
public:
    struct Question {
        std::string subject, action, cancellation;
        std::map<std::string, std::string> details;
        std::uint32_t flags = 0;
        bool may_start = false; ///< the bus might have started polkit for it
        std::shared_ptr<sd_bus_message> call;
    };

    explicit FakePolkit(Client client) : client_(std::move(client)), bus_(client_.raw()) {
        // Not by a vtable: sd-bus would not let a method of one answer in another form than it has there.
        if (::sd_bus_add_object(bus_, nullptr, "/org/freedesktop/PolicyKit1/Authority", on_call, this) < 0 ||
            ::sd_bus_request_name(bus_, "org.freedesktop.PolicyKit1", 0) < 0)
            throw std::runtime_error("the test cannot be polkit");
    }
    FakePolkit(const FakePolkit&) = delete;
    FakePolkit& operator=(const FakePolkit&) = delete;

    std::vector<Question> questions;    ///< all that came
    std::vector<std::string> cancelled; ///< cancellation ids

    /// Reads what has come.
    void process() {
        while (::sd_bus_process(bus_, nullptr) > 0) {
        }
    }
    /// Waits until so many questions have come; false after 10 s.
    bool asked(std::size_t count) {
        return until([&] { return questions.size() >= count; });
    }
    bool until(const std::function<bool()>& condition) {
        for (int i = 0; i < 500 && !condition(); ++i) {
            process();
            if (!condition()) ::sd_bus_wait(bus_, 20'000);
        }
        return condition();
    }
    void answer(std::size_t number, bool yes, bool challenge = false, bool dismissed = false) {
        reply(number, [&](sd_bus_message* m) {
            return dismissed ? ::sd_bus_message_append(m, "(bba{ss})", yes, challenge, 1, "polkit.dismissed", "true")
                             : ::sd_bus_message_append(m, "(bba{ss})", yes, challenge, 0);
        });
    }
    /// With any body.
    void reply(std::size_t number, const std::function<int(sd_bus_message*)>& fill) {
        sd_bus_message* message = nullptr;
        int step = ::sd_bus_message_new_method_return(questions.at(number).call.get(), &message);
        if (step >= 0) step = fill(message);
        if (step >= 0) step = ::sd_bus_send(bus_, message, nullptr);
        ::sd_bus_message_unref(message);
        if (step < 0) throw std::runtime_error("the answer was not sent: " + std::to_string(step));
        ::sd_bus_flush(bus_);
    }
    void answer_error(std::size_t number, const char* name) {
        ::sd_bus_reply_method_errorf(questions.at(number).call.get(), name, "as the test wants it");
        ::sd_bus_flush(bus_);
    }

private:
    static int on_call(sd_bus_message* call, void* it, sd_bus_error* error) {
        constexpr const char* interface = "org.freedesktop.PolicyKit1.Authority";
        if (::sd_bus_message_is_method_call(call, interface, "CheckAuthorization") > 0)
            return on_check(call, it, error);
        return ::sd_bus_message_is_method_call(call, interface, "CancelCheckAuthorization") > 0
                   ? on_cancel(call, it, error)
                   : 0;
    }
    static int on_check(sd_bus_message* call, void* it, sd_bus_error*) {
        const char *kind = nullptr, *key = nullptr, *value = nullptr, *action = nullptr, *cancellation = nullptr;
        Question question;
        ::sd_bus_message_enter_container(call, 'r', "sa{sv}");
        ::sd_bus_message_read(call, "s", &kind);
        ::sd_bus_message_enter_container(call, 'a', "{sv}");
        ::sd_bus_message_read(call, "{sv}", &key, "s", &value);
        question.subject = std::string(kind) + " " + key + "=" + value;
        for (int level = 0; level < 2; ++level) ::sd_bus_message_exit_container(call);
        ::sd_bus_message_read(call, "s", &action);
        question.action = action;
        ::sd_bus_message_enter_container(call, 'a', "{ss}");
        while (::sd_bus_message_read(call, "{ss}", &key, &value) > 0) question.details[key] = value;
        ::sd_bus_message_exit_container(call);
        ::sd_bus_message_read(call, "us", &question.flags, &cancellation);
        question.cancellation = cancellation;
        question.may_start = ::sd_bus_message_get_auto_start(call) > 0;
        question.call = {::sd_bus_message_ref(call), ::sd_bus_message_unref};
        static_cast<FakePolkit*>(it)->questions.push_back(std::move(question));
        return 1;
    }
    static int on_cancel(sd_bus_message* call, void* it, sd_bus_error*) {
        const char* cancellation = nullptr;
        ::sd_bus_message_read(call, "s", &cancellation);
        static_cast<FakePolkit*>(it)->cancelled.emplace_back(cancellation);
        return ::sd_bus_reply_method_return(call, nullptr);
    }
    Client client_;
    sd_bus* bus_;
};

} // namespace fastrpc::broker::test
