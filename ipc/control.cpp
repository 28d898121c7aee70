// One list of members per message, walked by both directions: what is written is what is read.
#include "ipc/control.hpp"

#include "ipc/frame.hpp"
#include "ipc/module_uri.hpp"
#include "ipc/pack.hpp"

#include <algorithm>
#include <cerrno>
#include <fmt/core.h>
#include <functional>
#include <optional>
#include <type_traits>

namespace fastrpc {
namespace {

constexpr std::size_t max_text = 4096;

struct Writer {
    Packer out;
    std::uint16_t version;
    void operator()(const std::string& value) { out.text(std::string_view(value).substr(0, max_text)); }
    template<class T, std::size_t Count>
    void operator()(const std::array<T, Count>& values) {
        for (const T& value : values) (*this)(value);
    }
    template<class T>
    void operator()(const std::vector<T>& values) {
        (*this)(static_cast<std::uint32_t>(values.size()));
        for (const T& value : values) (*this)(value);
    }
    template<class T>
    void operator()(const std::optional<T>& value) {
        (*this)(static_cast<std::uint8_t>(value ? 1 : 0));
        if (value) (*this)(*value);
    }
    template<class T>
    void operator()(const T& value) {
        if constexpr (std::is_same_v<T, FileReport> || std::is_same_v<T, GrantedModule>) {
            members(*this, value);
        } else if constexpr (std::is_enum_v<T>) {
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
    std::uint16_t version;
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
    void operator()(std::vector<T>& values) {
        std::uint32_t count = 0;
        (*this)(count);
        // As many as there are bytes for, whatever the count says.
        while (count-- > 0 && in.ok()) (*this)(values.emplace_back());
    }
    template<class T>
    void operator()(std::optional<T>& value) {
        std::uint8_t there = 0;
        (*this)(there);
        valid = valid && there <= 1;
        if (there == 1) (*this)(value.emplace());
    }
    template<class T>
    void operator()(T& value) {
        if constexpr (std::is_same_v<T, FileReport> || std::is_same_v<T, GrantedModule>) {
            members(*this, value);
        } else if constexpr (std::is_enum_v<T>) {
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

template<class M, class T>
concept Is = std::is_same_v<std::remove_const_t<M>, T>;

template<class... T>
void each(auto& walk, T&... members) {
    (walk(members), ...);
}

void members(auto& walk, Is<Grant> auto& m) {
    each(walk, m.rule, m.file, m.line, m.revision, m.attributes, m.limits.sessions_per_uid, m.limits.lanes,
         m.limits.mapped_bytes, m.limits.buffers, m.limits.deadline_ms, m.limits.lanes_per_uid,
         m.limits.mapped_bytes_per_uid, m.limits.fds_per_uid, m.limits.queued_per_uid, m.limits.opens_per_minute,
         m.limits.queue_ms, m.limits.reclaim_idle_ms, m.limits.best_priority, m.limits.stack_bytes, m.thread_priority,
         m.thread_stack, m.trusted, m.modules);
    if (walk.version >= 2) each(walk, m.limits.directories);
}
void members(auto& walk, Is<GrantedModule> auto& m) {
    each(walk, m.name, m.sha256);
}
void members(auto& walk, Is<StartMessage> auto& m) {
    each(walk, m.session_id, m.domain, m.kind, m.owner_uid, m.label, m.opened_us);
    members(walk, m.grant);
    each(walk, m.module_files);
}
void members(auto& walk, Is<Description> auto& m) {
    each(walk, m.session_id, m.domain, m.kind, m.state, m.generation, m.restarts, m.pid, m.owner_uid, m.label,
         m.opened_us, m.node, m.reason);
    members(walk, m.grant);
    each(walk, m.backend, m.profile, m.capabilities);
    if (walk.version >= 2) each(walk, m.program);
}
void members(auto& walk, Is<Counters> auto& m) {
    each(walk, m.calls, m.failed_calls, m.bytes, m.reverse_calls, m.files_served, m.bytes_served, m.files_missing,
         m.last_missing, m.lanes, m.buffers, m.mapped_bytes, m.p50_us, m.p99_us, m.in_flight, m.idle_ms);
}
void members(auto& walk, Is<Latency> auto& m) {
    each(walk, m.calls, m.sum_ns);
}
void members(auto& walk, Is<FailedMessage> auto& m) {
    each(walk, m.kind, m.os_error, m.text);
}
void members(auto& walk, Is<ByeMessage> auto& m) {
    each(walk, m.reason);
    members(walk, m.counters);
    each(walk, m.lost_contexts);
}
void members(auto& walk, Is<TerminateMessage> auto& m) {
    each(walk, m.reason, m.text);
}
void members(auto& walk, Is<LeaveMessage> auto& m) {
    each(walk, m.grace_ms, m.text);
}
void members(auto& walk, Is<PdCommand> auto& m) {
    each(walk, m.action, m.by);
}
void members(auto& walk, Is<FilesRequest> auto& m) {
    each(walk, m.since);
}
void members(auto& walk, Is<FileReport> auto& m) {
    each(walk, m.sequence, m.name, m.places, m.problem, m.opens, m.refusals, m.bytes_read, m.bytes_written, m.last_us);
}
void members(auto& walk, Is<FilesPage> auto& m) {
    each(walk, m.more, m.reports);
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
bool meaningful(const Grant& m) {
    return m.modules.size() <= max_granted_modules && m.limits.directories <= max_session_directories &&
           std::ranges::all_of(m.modules, is_module_name, &GrantedModule::name);
}
bool meaningful(const StartMessage& m) {
    const bool files =
        m.module_files.size() <= max_module_files && std::ranges::all_of(m.module_files, [&](const std::string& file) {
            const auto is_granted = [&](const GrantedModule& one) { return one.name == file && one.sha256; };
            return std::ranges::count(m.module_files, file) == 1 &&
                   std::ranges::count_if(m.grant.modules, is_granted) == 1;
        });
    return files && meaningful(m.grant) && known(m.domain) && known(m.kind) && !is_static(m.kind) && m.session_id != 0;
}
bool meaningful(const Description& m) {
    return meaningful(m.grant) && known(m.domain) && known(m.kind) && known(m.state) &&
           is_static(m.kind) == (m.session_id == 0);
}
bool meaningful(const Counters&) {
    return true;
}
bool meaningful(const Latency&) {
    return true;
}
bool meaningful(const FailedMessage& m) {
    return m.kind != ErrorKind::none && m.kind <= ErrorKind::dsp;
}
bool meaningful(const ByeMessage&) {
    return true;
}
bool meaningful(const TerminateMessage& m) {
    return m.reason <= last_lost_reason;
}
bool meaningful(const LeaveMessage&) {
    return true;
}
bool meaningful(const PdCommand& m) {
    return m.action >= PdAction::start && m.action <= PdAction::restart;
}
bool meaningful(const FilesRequest&) {
    return true;
}
// Who asks for more with the last sequence must get on.
bool meaningful(const FilesPage& m) {
    const bool rises =
        std::ranges::adjacent_find(m.reports, std::greater_equal(), &FileReport::sequence) == m.reports.end();
    return rises && (m.reports.empty() ? !m.more : m.reports.front().sequence > 0);
}

template<class T>
std::vector<std::byte> pack(const T& message, std::uint16_t version) {
    Writer walk{.out = {}, .version = version};
    members(walk, message);
    return walk.out.bytes();
}

// Each scalar stands at a multiple of its size, and a report begins with a 64-bit one.
std::size_t packed_size(const FileReport& report) {
    Writer walk{.out = {}, .version = control_newest};
    walk(report);
    return align_up(walk.out.bytes().size(), 8);
}

template<class T>
Result<T> unpack(std::span<const std::byte> payload, std::uint16_t version) {
    T message;
    Reader walk{.in = Unpacker(payload), .version = version};
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

std::string_view to_string(PdAction action) noexcept {
    return action == PdAction::start ? "start" : action == PdAction::stop ? "stop" : "restart";
}

Error not_spoken(std::uint16_t version) {
    return {ErrorKind::unsupported, EPROTONOSUPPORT,
            fmt::format("it speaks version {} of the control protocol, this program versions {} to {}", version,
                        control_versions.oldest, control_versions.newest)};
}

Grant in_version(Grant grant, std::uint16_t version) {
    if (version < 2) grant.limits.directories = 0;
    return grant;
}

FilesPage first_page(std::vector<FileReport> later) {
    std::size_t room =
        max_control_datagram - sizeof(FrameHeader) - align_up(pack(FilesPage{}, control_newest).size(), 8);
    FilesPage page;
    for (FileReport& report : later) {
        if (page.reports.empty()) // two longest texts fit, so this ends
            while (packed_size(report) > room && !report.places.empty()) report.places.pop_back();
        const std::size_t size = packed_size(report);
        page.more = size > room;
        if (page.more) break;
        room -= size;
        page.reports.push_back(std::move(report));
    }
    return page;
}

template<class T>
std::vector<std::byte> encode(const T& message, std::uint16_t version) {
    return pack(message, version);
}
template<class T>
Result<T> decode(std::span<const std::byte> payload, std::uint16_t version) {
    return unpack<T>(payload, version);
}

#define FASTRPC_BOTH_WAYS(Message)                                                                                     \
    template std::vector<std::byte> encode(const Message&, std::uint16_t);                                             \
    template Result<Message> decode(std::span<const std::byte>, std::uint16_t)
FASTRPC_BOTH_WAYS(StartMessage);
FASTRPC_BOTH_WAYS(Description);
FASTRPC_BOTH_WAYS(Counters);
FASTRPC_BOTH_WAYS(Latency);
FASTRPC_BOTH_WAYS(FailedMessage);
FASTRPC_BOTH_WAYS(ByeMessage);
FASTRPC_BOTH_WAYS(TerminateMessage);
FASTRPC_BOTH_WAYS(LeaveMessage);
FASTRPC_BOTH_WAYS(PdCommand);
FASTRPC_BOTH_WAYS(FilesRequest);
FASTRPC_BOTH_WAYS(FilesPage);

} // namespace fastrpc
