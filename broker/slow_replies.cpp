#include "broker/slow_replies.hpp"

#include "base/log.hpp"
#include "broker/bus_reply.hpp"

namespace fastrpc::broker {

int SlowReplies::refuse(sd_bus_message* call, std::uint32_t uid, std::string_view word, const std::string& text) {
    auto charge = held_.take(uid, 1, max_per_uid);
    if (!charge) return reply_error(call, word, text);
    Message message;
    if (const int made = make_error(call, word, text, message); made < 0) return made;
    const auto entry = replies_.emplace(replies_.end(), ::sd_bus_message_get_sender(call), std::move(message),
                                        std::move(*charge), Source());
    entry->due = Source::timer(loop_, delay * static_cast<std::int64_t>(held_.used(uid)), [this, entry] {
        const int sent = ::sd_bus_send(nullptr, entry->message.get(), nullptr);
        if (sent < 0) log::warning("a refusal was not sent: " + errno_text(-sent));
        replies_.erase(entry);
    });
    return 1;
}

void SlowReplies::forget(const std::string& name) {
    std::erase_if(replies_, [&](const Reply& reply) { return reply.sender == name; });
}

} // namespace fastrpc::broker
