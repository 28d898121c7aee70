#include "broker/authority.hpp"

#include "base/log.hpp"
#include "broker/accounts.hpp"
#include "broker/bus_reply.hpp"

#include <cerrno>
#include <fmt/core.h>
#include <optional>

namespace fastrpc::broker {
namespace {

constexpr const char* service = "org.freedesktop.PolicyKit1";
constexpr const char* path = "/org/freedesktop/PolicyKit1/Authority";
constexpr const char* interface = "org.freedesktop.PolicyKit1.Authority";
constexpr std::uint32_t allow_user_interaction = 1;

std::unexpected<Error> no(std::string text) {
    return fail(ErrorKind::denied, std::move(text), EACCES);
}

int append_details(sd_bus_message* message, const Authority::Details& details) {
    int step = ::sd_bus_message_open_container(message, SD_BUS_TYPE_ARRAY, "{ss}");
    for (const auto& [key, value] : details)
        if (step >= 0) step = ::sd_bus_message_append(message, "{ss}", key, value.c_str());
    return step < 0 ? step : ::sd_bus_message_close_container(message);
}

// Why an error came instead of an answer.
Status refusal(const sd_bus_error& error) {
    const std::string_view name(error.name);
    const char* message = error.message == nullptr ? "" : error.message;
    if (name == SD_BUS_ERROR_SERVICE_UNKNOWN || name == SD_BUS_ERROR_NAME_HAS_NO_OWNER)
        return no("polkit, which would be asked, is not on the system bus; install it (package polkitd) or start it");
    if (name == SD_BUS_ERROR_NO_REPLY) return no("polkit went away before it answered; try again");
    if (name == "org.freedesktop.PolicyKit1.Error.NotAuthorized")
        return no(fmt::format("polkit does not let fastrpcd ask: {}; the installed org.fastrpc1.policy must name "
                              "fastrpcd's user as the owner of its actions",
                              message));
    return no(fmt::format("polkit gave no answer but {}: {}", name, message));
}

struct Answer {
    bool yes = false;
    bool challenge = false; ///< somebody would have to authenticate
    bool dismissed = false; ///< and did not want to
};

std::optional<Answer> read_answer(sd_bus_message* reply) {
    if (::sd_bus_message_has_signature(reply, "(bba{ss})") <= 0) return std::nullopt;
    Answer answer;
    int yes = 0, challenge = 0;
    int step = ::sd_bus_message_enter_container(reply, SD_BUS_TYPE_STRUCT, "bba{ss}");
    if (step >= 0) step = ::sd_bus_message_read(reply, "bb", &yes, &challenge);
    if (step >= 0) step = ::sd_bus_message_enter_container(reply, SD_BUS_TYPE_ARRAY, "{ss}");
    if (step < 0) return std::nullopt;
    const char *key = nullptr, *value = nullptr;
    while ((step = ::sd_bus_message_read(reply, "{ss}", &key, &value)) > 0)
        answer.dismissed |= std::string_view(key) == "polkit.dismissed";
    if (step < 0) return std::nullopt;
    answer.yes = yes != 0;
    answer.challenge = challenge != 0;
    return answer;
}

Status judge(sd_bus_message* reply, bool interactive) {
    if (const sd_bus_error* error = ::sd_bus_message_get_error(reply)) return refusal(*error);
    const auto answer = read_answer(reply);
    if (!answer) return no("polkit's answer is not of the form that it has to have");
    if (answer->yes) return {};
    if (answer->dismissed) return no("whoever polkit asked dismissed the question");
    if (answer->challenge && interactive)
        return no("polkit wants somebody to authenticate, and found no authentication agent to ask: call from a "
                  "desktop session, or start pkttyagent");
    if (answer->challenge)
        return no("polkit wants somebody to authenticate, and this method call does not allow that: set its flag "
                  "ALLOW_INTERACTIVE_AUTHORIZATION");
    return no("polkit says no, by its rules or because nobody authenticated");
}

// "Manager.ReloadPolicy", for the audit. A call need not name its interface.
std::string method_of(sd_bus_message* call) {
    const char* given = ::sd_bus_message_get_interface(call);
    const std::string_view face = given == nullptr ? "" : given;
    return fmt::format("{}.{}", face.substr(face.rfind('.') + 1), ::sd_bus_message_get_member(call));
}

} // namespace

struct Authority::Question {
    Authority* owner = nullptr;
    std::uint64_t number = 0; ///< its cancellation id for polkit
    std::string asker;
    bool interactive = false;
    Done done; ///< none: the asker left
    Charge of_uid, of_all;
    Slot reply;
    Source deadline;
};

Authority::Authority(sd_event* loop, sd_bus* bus, AuditLog& audit, Patience patience) :
    loop_(loop), bus_(bus), audit_(audit), patience_(patience) {}
Authority::~Authority() = default;

void Authority::ask(sd_bus_message* call, const Subject& caller, const char* action, const Details& details,
                    Done done) {
    auto of_uid = charged_.take(caller.uid, 1, max_questions_per_uid);
    if (!of_uid)
        return done(fail(ErrorKind::quota, fmt::format("polkit is asked {} questions for uid {} already; answer one "
                                                       "of them first",
                                                       max_questions_per_uid, caller.uid)));
    auto of_all = charged_.take(all, 1, max_questions);
    if (!of_all)
        return done(fail(ErrorKind::busy, fmt::format("polkit has {} questions to answer already; try again when it "
                                                      "has answered one",
                                                      max_questions)));
    const std::uint64_t number = ++last_;
    auto& question = *questions_.emplace(number, std::make_unique<Question>()).first->second;
    question.owner = this;
    question.number = number;
    question.asker = ::sd_bus_message_get_sender(call);
    question.interactive = ::sd_bus_message_get_allow_interactive_authorization(call) > 0;
    question.done = std::move(done);
    question.of_uid = std::move(*of_uid);
    question.of_all = std::move(*of_all);
    if (const int sent = send(question, action, details); sent < 0)
        return answer(number, no("polkit could not be asked: " + errno_text(-sent)));
    const auto patience = question.interactive ? patience_.people : patience_.rules;
    question.deadline = Source::timer(loop_, patience, [this, number, patience] {
        const Question& late = *questions_.at(number);
        cancel(late);
        answer(number, no(fmt::format("{} within {} s",
                                      late.interactive ? "nobody answered polkit's question" : "polkit did not answer",
                                      std::chrono::ceil<std::chrono::seconds>(patience).count())));
    });
}

int Authority::send(Question& question, const char* action, const Details& details) {
    Message message;
    int step = ::sd_bus_message_new_method_call(bus_, out(message), service, path, interface, "CheckAuthorization");
    // Each call of an absent polkit would make the bus try to start it.
    if (step >= 0)
        step = ::sd_bus_message_set_auto_start(message.get(), std::chrono::steady_clock::now() >= start_after_);
    if (step >= 0)
        step = ::sd_bus_message_append(message.get(), "(sa{sv})s", "system-bus-name", 1, "name", "s",
                                       question.asker.c_str(), action);
    if (step >= 0) step = append_details(message.get(), details);
    if (step >= 0)
        step = ::sd_bus_message_append(message.get(), "us", question.interactive ? allow_user_interaction : 0U,
                                       std::to_string(question.number).c_str());
    if (step < 0) return step;
    const auto on_answer = [](sd_bus_message* reply, void* data, sd_bus_error*) noexcept {
        const auto* asked = static_cast<Question*>(data);
        asked->owner->on_reply(asked->number, reply);
        return 0;
    };
    return ::sd_bus_call_async(bus_, out(question.reply), message.get(), on_answer, &question, UINT64_MAX);
}

void Authority::on_reply(std::uint64_t number, sd_bus_message* reply) {
    const sd_bus_error* error = ::sd_bus_message_get_error(reply);
    if (error != nullptr && !std::string_view(error->name).starts_with("org.freedesktop.PolicyKit1."))
        start_after_ = std::chrono::steady_clock::now() + start_pause;
    answer(number, judge(reply, questions_.at(number)->interactive));
}

// Its place is free when `done` hears of it, who may have the next question.
void Authority::answer(std::uint64_t number, const Status& may) {
    const Done done = std::move(questions_.extract(number).mapped()->done);
    if (done) done(may);
}

// Without waiting for an answer: what polkit still says of it goes nowhere.
void Authority::cancel(const Question& question) {
    Message message;
    int step =
        ::sd_bus_message_new_method_call(bus_, out(message), service, path, interface, "CancelCheckAuthorization");
    if (step >= 0) step = ::sd_bus_message_set_auto_start(message.get(), 0);
    if (step >= 0) step = ::sd_bus_message_set_expect_reply(message.get(), 0);
    if (step >= 0) step = ::sd_bus_message_append(message.get(), "s", std::to_string(question.number).c_str());
    if (step >= 0) step = ::sd_bus_send(bus_, message.get(), nullptr);
    if (step < 0) log::warning("a question to polkit was not taken back: " + errno_text(-step));
}

void Authority::forget(const std::string& name) {
    for (const auto& [number, question] : questions_) {
        if (question->asker != name || !question->done) continue;
        question->done = nullptr;
        cancel(*question);
    }
}

void Authority::guard(sd_bus_message* call, const Subject& caller, const char* action, const std::string& what,
                      const Details& details, std::function<void(sd_bus_message*)> then) {
    const auto go_on = [this, action, what, then = std::move(then)](sd_bus_message* admitted, const Subject& who) {
        // Who only looks changes nothing.
        if (std::string_view(action) != action::inspect)
            audit_.admin_allowed(who, method_of(admitted), fmt::format("uid {} may {}", who.uid, what));
        then(admitted);
    };
    if (caller.uid == 0) return go_on(call, caller);
    const auto on_answer = [this, held = MessageRef(call), who = caller, action, what, go_on](const Status& may) {
        if (may) return go_on(held.get(), who);
        const Error& error = may.error();
        const std::string text = fmt::format("only root may {}, and who polkit says may do {}; you are {}, and {}; or "
                                             "try again as root",
                                             what, action, user_name(who.uid), error.text);
        audit_.admin_denied(who, method_of(held.get()), text);
        reply_error(held.get(), {error.kind, error.os_error, text});
    };
    ask(call, caller, action, details, on_answer);
}

} // namespace fastrpc::broker
