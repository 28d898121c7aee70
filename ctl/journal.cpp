#include "ctl/journal.hpp"

#include "ctl/signals.hpp"

#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <deque>
#include <fmt/core.h>
#include <memory>
#include <poll.h>
#include <systemd/sd-journal.h>

namespace fastrpc::ctl {
namespace {

constexpr std::size_t longest_field = 64U << 10;

struct Close {
    void operator()(sd_journal* journal) const noexcept { ::sd_journal_close(journal); }
};
using Journal = std::unique_ptr<sd_journal, Close>;

Result<Journal> open_journal(const JournalQuery& query) {
    sd_journal* raw = nullptr;
    const int opened = query.directory.empty() ? ::sd_journal_open(&raw, SD_JOURNAL_LOCAL_ONLY | SD_JOURNAL_SYSTEM)
                                               : ::sd_journal_open_directory(&raw, query.directory.c_str(), 0);
    if (opened == -ENOENT)
        return fail(ErrorKind::not_found, fmt::format("there is no journal at {}", query.directory), ENOENT);
    if (opened < 0) return fail_errno("opening the journal", -opened);
    Journal journal(raw);
    ::sd_journal_set_data_threshold(raw, longest_field);
    for (const std::string& match : query.matches)
        if (const int added = ::sd_journal_add_match(raw, match.data(), match.size()); added < 0)
            return fail_errno("searching the journal", -added);
    return journal;
}

JournalEntry entry_of(sd_journal* journal) {
    JournalEntry entry = json::object();
    std::uint64_t usec = 0;
    if (::sd_journal_get_realtime_usec(journal, &usec) >= 0) entry["time-usec"] = usec;
    const void* data = nullptr;
    std::size_t size = 0;
    ::sd_journal_restart_data(journal);
    while (::sd_journal_enumerate_available_data(journal, &data, &size) > 0) {
        const std::string_view field(static_cast<const char*>(data), size);
        const std::size_t equals = field.find('=');
        if (equals != field.npos) entry[std::string(field.substr(0, equals))] = field.substr(equals + 1);
    }
    return entry;
}

std::string text_of(const JournalEntry& entry, const char* field) {
    const auto found = entry.find(field);
    return found != entry.end() && found->is_string() ? found->get<std::string>() : std::string();
}

json number_of(const JournalEntry& entry, const char* field) {
    const std::string text = text_of(entry, field);
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (text.empty() || error != std::errc() || end != text.data() + text.size()) return nullptr;
    return number;
}

// Hosts write a session's number; everywhere else it goes by its key. Null for a static PD.
json session_key(const JournalEntry& entry) {
    const json number = number_of(entry, "FASTRPC_SESSION");
    return number.is_null() ? json() : json(fmt::format("s{:016x}", number.get<std::uint64_t>()));
}

bool written_by(const JournalEntry& entry, std::string_view unit_prefix) {
    return text_of(entry, "_SYSTEMD_UNIT").starts_with(unit_prefix);
}

// What is there already: all of it, or the last lines of it.
Status read_stored(sd_journal* journal, const JournalQuery& query, const Reading& read,
                   const std::function<void(const json&)>& print) {
    int step = 0;
    if (query.lines == 0) {
        while ((step = ::sd_journal_next(journal)) > 0)
            if (const json line = read(entry_of(journal)); !line.is_null()) print(line);
    } else {
        std::deque<json> last;
        step = ::sd_journal_seek_tail(journal);
        while (step >= 0 && last.size() < query.lines && (step = ::sd_journal_previous(journal)) > 0)
            if (json line = read(entry_of(journal)); !line.is_null()) last.push_front(std::move(line));
        for (const json& line : last) print(line);
        // What follows comes behind the last entry there is.
        if (step >= 0) step = ::sd_journal_seek_tail(journal);
        if (step >= 0) step = ::sd_journal_previous(journal);
        if (step == 0) step = ::sd_journal_seek_head(journal); // there is none: nothing comes behind the tail itself
    }
    if (step < 0) return fail_errno("reading the journal", -step);
    return {};
}

Status read_new(sd_journal* journal, const Reading& read, const std::function<void(const json&)>& print) {
    const Result<UniqueFd> ending = signals({SIGINT, SIGTERM});
    if (!ending) return std::unexpected(ending.error());
    for (;;) {
        const int fd = ::sd_journal_get_fd(journal), events = ::sd_journal_get_events(journal);
        if (fd < 0 || events < 0) return fail_errno("following the journal", fd < 0 ? -fd : -events);
        int step = 0;
        while ((step = ::sd_journal_next(journal)) > 0)
            if (const json line = read(entry_of(journal)); !line.is_null()) print(line);
        if (step < 0) return fail_errno("reading the journal", -step);
        if (std::fflush(stdout) != 0) return {};
        std::array<pollfd, 3> wanted{pollfd{fd, static_cast<short>(events), 0}, pollfd{ending->get(), POLLIN, 0},
                                     pollfd{fileno(stdout), 0, 0}};
        std::uint64_t until = 0;
        ::sd_journal_get_timeout(journal, &until);
        // Where the journal cannot be watched (a network file system) it wants to be looked at now and then.
        if (::poll(wanted.data(), wanted.size(), until == UINT64_MAX ? -1 : 500) > 0 &&
            (wanted[1].revents != 0 || wanted[2].revents != 0))
            return {};
        if (const int changed = ::sd_journal_process(journal); changed < 0)
            return fail_errno("following the journal", -changed);
    }
}

} // namespace

Status read_journal(const JournalQuery& query, const Reading& read, const std::function<void(const json&)>& print) {
    const auto journal = open_journal(query);
    if (!journal) return std::unexpected(journal.error());
    // Of a directory that is named they would say nothing: it is neither kind.
    if (query.directory.empty() && ::sd_journal_has_persistent_files(journal->get()) <= 0 &&
        ::sd_journal_has_runtime_files(journal->get()) <= 0)
        return fail(ErrorKind::denied,
                    "the journal has nothing that you may read: be root or a member of the group systemd-journal, and "
                    "see whether journald runs",
                    EACCES);
    if (const Status stored = read_stored(journal->get(), query, read, print); !stored) return stored;
    return query.follow ? read_new(journal->get(), read, print) : Status();
}

json dsp_line(const JournalEntry& entry) {
    if (!written_by(entry, "fastrpc-")) return nullptr;
    constexpr std::array<const char*, 8> levels{"emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"};
    const json priority = number_of(entry, "PRIORITY");
    const std::string file = text_of(entry, "CODE_FILE");
    return {{"time-usec", entry.value("time-usec", std::uint64_t{0})},
            {"domain", text_of(entry, "FASTRPC_DOMAIN")},
            {"pd", text_of(entry, "FASTRPC_PD")},
            {"session", session_key(entry)},
            {"level", priority.is_number() && priority < levels.size() ? levels[priority.get<std::size_t>()] : ""},
            {"dsp-level", text_of(entry, "FASTRPC_DSP_LEVEL")},
            {"text", text_of(entry, "MESSAGE")},
            {"source", file.empty() ? "" : fmt::format("{}:{}", file, text_of(entry, "CODE_LINE"))},
            {"pid", number_of(entry, "_PID")},
            {"unit", text_of(entry, "_SYSTEMD_UNIT")}};
}

json decision_line(const JournalEntry& entry) {
    if (!entry.contains("FASTRPC_DECISION") || !written_by(entry, "fastrpcd.service")) return nullptr;
    return {{"time-usec", entry.value("time-usec", std::uint64_t{0})},
            {"decision", text_of(entry, "FASTRPC_DECISION")},
            {"uid", number_of(entry, "FASTRPC_UID")},
            {"label", text_of(entry, "FASTRPC_LABEL")},
            {"domain", text_of(entry, "FASTRPC_DOMAIN")},
            {"pd", text_of(entry, "FASTRPC_PD")},
            {"rule", text_of(entry, "FASTRPC_RULE")},
            {"revision", text_of(entry, "FASTRPC_REVISION")},
            {"grant", text_of(entry, "FASTRPC_GRANT")},
            {"text", text_of(entry, "MESSAGE")}};
}

} // namespace fastrpc::ctl
