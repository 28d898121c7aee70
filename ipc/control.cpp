// One list of members per message, walked by both directions: what is written is what is read.
#include "ipc/control.hpp"

#include "ipc/pack.hpp"

#include <type_traits>

namespace fastrpc {
namespace {

constexpr std::size_t max_text = 4096;

struct Writer {
    Packer out;
    void operator()(const std::string& value) { out.text(std::string_view(value).substr(0, max_text)); }
    template<class T, std::size_t Count>
    void operator()(const std::array<T, Count>& values) {
        for (const T& value : values) (*this)(value);
    }
    template<class T>
    void operator()(const T& value) {
        if constexpr (std::is_enum_v<T>) {
            (*this)(static_cast<std::underlying_type_t<T>>(value));
        } else if constexpr (sizeof(T) == 1) {
            out.u8(static_cast<std::uint8_t>(value));
        } else if constexpr (sizeof(T) == 2) {
            out.u16(static_cast<std::uint16_t>(value));
        } else if constexpr (sizeof(T) == 4) {
            out.u32(static_cast<std::uint32_t>(value));
        } else {
            out.u64(static_cast<std::uint64_t>(value));
        }
    }
};

struct Reader {
    Unpacker in;
    bool valid = true;
    void operator()(std::string& value) {
        value = in.text();
        valid = valid && value.size() <= max_text;
    }
    template<class T, std::size_t Count>
    void operator()(std::array<T, Count>& values) {
        for (T& value : values) (*this)(value);
    }
    template<class T>
    void operator()(T& value) {
        if constexpr (std::is_enum_v<T>) {
            std::underlying_type_t<T> number{};
            (*this)(number);
            value = static_cast<T>(number);
        } else if constexpr (sizeof(T) == 1) {
            value = static_cast<T>(in.u8());
        } else if constexpr (sizeof(T) == 2) {
            value = static_cast<T>(in.u16());
        } else if constexpr (sizeof(T) == 4) {
            value = static_cast<T>(in.u32());
        } else {
            value = static_cast<T>(in.u64());
        }
    }
};

template<class... T>
void each(auto& walk, T&... members) {
    (walk(members), ...);
}

void members(auto& walk,
             auto& m) requires std::is_same_v<std::remove_const_t<std::remove_reference_t<decltype(m)>>, Grant> {
    each(walk, m.rule, m.file, m.line, m.attributes, m.limits.sessions_per_uid, m.limits.lanes, m.limits.mapped_bytes,
         m.limits.buffers, m.limits.deadline_ms, m.trusted);
}
void members(auto& walk,
             auto& m) requires std::is_same_v<std::remove_const_t<std::remove_reference_t<decltype(m)>>, StartMessage> {
    each(walk, m.session_id, m.domain, m.kind, m.owner_uid, m.label, m.opened_us);
    members(walk, m.grant);
}
void members(auto& walk,
             auto& m) requires std::is_same_v<std::remove_const_t<std::remove_reference_t<decltype(m)>>, Description> {
    each(walk, m.session_id, m.domain, m.kind, m.state, m.generation, m.restarts, m.pid, m.owner_uid, m.label,
         m.opened_us, m.node, m.reason);
    members(walk, m.grant);
    each(walk, m.backend, m.profile, m.capabilities);
}
void members(auto& walk,
             auto& m) requires std::is_same_v<std::remove_const_t<std::remove_reference_t<decltype(m)>>, Counters> {
    each(walk, m.calls, m.failed_calls, m.bytes, m.reverse_calls, m.files_served, m.bytes_served, m.files_missing,
         m.last_missing, m.lanes, m.buffers, m.mapped_bytes, m.p50_us, m.p99_us, m.in_flight);
}
void members(auto& walk, auto& m) requires
    std::is_same_v<std::remove_const_t<std::remove_reference_t<decltype(m)>>, FailedMessage> {
    each(walk, m.kind, m.os_error, m.text);
}
void members(auto& walk,
             auto& m) requires std::is_same_v<std::remove_const_t<std::remove_reference_t<decltype(m)>>, ByeMessage> {
    each(walk, m.reason);
    members(walk, m.counters);
    each(walk, m.lost_contexts);
}

bool known(Domain domain) {
    return domain_from(to_string(domain)).has_value();
}
bool known(PdKind kind) {
    return pd_kind_from(to_string(kind)).has_value();
}
bool known(PdState state) {
    return state >= PdState::waiting && state <= PdState::failed;
}
bool meaningful(const StartMessage& m) {
    return known(m.domain) && known(m.kind) && !is_static(m.kind) && m.session_id != 0;
}
bool meaningful(const Description& m) {
    return known(m.domain) && known(m.kind) && known(m.state) && is_static(m.kind) == (m.session_id == 0);
}
bool meaningful(const Counters&) {
    return true;
}
bool meaningful(const FailedMessage& m) {
    return m.kind != ErrorKind::none && m.kind <= ErrorKind::dsp;
}
bool meaningful(const ByeMessage&) {
    return true;
}

template<class T>
std::vector<std::byte> pack(const T& message) {
    Writer walk;
    members(walk, message);
    return walk.out.bytes();
}

template<class T>
Result<T> unpack(std::span<const std::byte> payload) {
    T message;
    Reader walk{Unpacker(payload)};
    members(walk, message);
    if (!walk.valid || !walk.in.complete() || !meaningful(message))
        return fail(ErrorKind::protocol, "a control message is malformed");
    return message;
}

} // namespace

std::string_view to_string(PdState state) noexcept {
    switch (state) {
    case PdState::waiting:
        return "waiting";
    case PdState::attaching:
        return "attaching";
    case PdState::running:
        return "running";
    case PdState::restarting:
        return "restarting";
    case PdState::stopped:
        return "stopped";
    case PdState::failed:
        return "failed";
    }
    return "unknown";
}

std::vector<std::byte> encode(const StartMessage& message) {
    return pack(message);
}
std::vector<std::byte> encode(const Description& message) {
    return pack(message);
}
std::vector<std::byte> encode(const Counters& message) {
    return pack(message);
}
std::vector<std::byte> encode(const FailedMessage& message) {
    return pack(message);
}
std::vector<std::byte> encode(const ByeMessage& message) {
    return pack(message);
}

template<>
Result<StartMessage> decode(std::span<const std::byte> payload) {
    return unpack<StartMessage>(payload);
}
template<>
Result<Description> decode(std::span<const std::byte> payload) {
    return unpack<Description>(payload);
}
template<>
Result<Counters> decode(std::span<const std::byte> payload) {
    return unpack<Counters>(payload);
}
template<>
Result<FailedMessage> decode(std::span<const std::byte> payload) {
    return unpack<FailedMessage>(payload);
}
template<>
Result<ByeMessage> decode(std::span<const std::byte> payload) {
    return unpack<ByeMessage>(payload);
}

} // namespace fastrpc
