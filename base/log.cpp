// The journal gets fields through sd_journal_sendv, because spdlog's systemd sink knows no fields; stderr goes through
// spdlog, which keeps lines whole between threads.
#define SD_JOURNAL_SUPPRESS_LOCATION // this file, for every line
#include "base/log.hpp"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <systemd/sd-journal.h>

#include <algorithm>
#include <cstdlib>
#include <fmt/core.h>
#include <memory>
#include <sys/stat.h>
#include <sys/uio.h>
#include <syslog.h>
#include <vector>

namespace fastrpc::log {
namespace {

std::string g_identifier = "fastrpcd";
bool g_journal = false;

// systemd sets JOURNAL_STREAM to "device:inode" of the stderr it made; a redirected stderr no longer matches it.
bool stderr_is_journal() {
    const char* stream = std::getenv("JOURNAL_STREAM");
    struct stat st {};
    if (stream == nullptr || ::fstat(STDERR_FILENO, &st) != 0) return false;
    return std::string(stream) == std::to_string(st.st_dev) + ":" + std::to_string(st.st_ino);
}

int priority(Level level) {
    switch (level) {
    case Level::debug:
        return LOG_DEBUG;
    case Level::info:
        return LOG_INFO;
    case Level::notice:
        return LOG_NOTICE;
    case Level::warning:
        return LOG_WARNING;
    case Level::error:
        return LOG_ERR;
    case Level::critical:
        return LOG_CRIT;
    }
    return LOG_ERR;
}

spdlog::level::level_enum spd_level(Level level) {
    switch (level) {
    case Level::debug:
        return spdlog::level::debug;
    case Level::info:
    case Level::notice:
        return spdlog::level::info;
    case Level::warning:
        return spdlog::level::warn;
    case Level::error:
        return spdlog::level::err;
    case Level::critical:
        return spdlog::level::critical;
    }
    return spdlog::level::err;
}

void send_to_journal(std::string_view identifier, Level level, std::string_view text, std::span<const Field> fields) {
    std::vector<std::string> entries;
    entries.reserve(fields.size() + 3);
    entries.push_back("MESSAGE=" + std::string(text));
    entries.push_back("PRIORITY=" + std::to_string(priority(level)));
    entries.push_back("SYSLOG_IDENTIFIER=" + std::string(identifier));
    for (const Field& field : fields) entries.push_back(std::string(field.name) + "=" + field.value);
    std::vector<iovec> parts;
    parts.reserve(entries.size());
    for (std::string& entry : entries) parts.push_back({entry.data(), entry.size()});
    ::sd_journal_sendv(parts.data(), static_cast<int>(parts.size()));
}

bool is_control(char c) {
    return static_cast<unsigned char>(c) < ' ' || c == 0x7F;
}

void append_escaped(std::string& line, std::string_view text, std::string_view also = {}) {
    for (const char c : text)
        if (is_control(c) || also.find(c) != std::string_view::npos)
            line += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
        else
            line += c;
}

// On stderr fields stand behind each other: a value that is more than one word is quoted.
std::string line_of(std::string_view text, std::span<const Field> fields) {
    std::string line;
    append_escaped(line, text);
    for (const Field& field : fields) {
        const bool word =
            std::ranges::none_of(field.value, [](char c) { return is_control(c) || c == ' ' || c == '"'; });
        line += fmt::format(" {}={}", field.name, word ? "" : "\"");
        append_escaped(line, field.value, "\"");
        if (!word) line += '"';
    }
    return line;
}

} // namespace

void open(std::string_view identifier, Level least) {
    g_identifier = identifier;
    g_journal = stderr_is_journal();
    auto logger = std::make_shared<spdlog::logger>(g_identifier, std::make_shared<spdlog::sinks::stderr_sink_mt>());
    logger->set_pattern("%n: %l: %v");
    logger->set_level(spd_level(least));
    logger->flush_on(spdlog::level::trace);
    spdlog::set_default_logger(std::move(logger));
}

Level least() {
    const spdlog::level::level_enum now = spdlog::default_logger_raw()->level();
    for (const Level level : {Level::debug, Level::info, Level::warning, Level::error})
        if (spd_level(level) >= now) return level;
    return Level::critical;
}

void set_least(Level level) {
    spdlog::default_logger_raw()->set_level(spd_level(level));
}

bool to_journal() {
    return g_journal;
}

void write(Level level, std::string_view text, Fields fields) {
    spdlog::logger* logger = spdlog::default_logger_raw();
    if (!logger->should_log(spd_level(level))) return;
    if (g_journal) return send_to_journal(g_identifier, level, text, fields);
    logger->log(spd_level(level), line_of(text, fields));
}

void write_as(std::string_view identifier, Level level, std::string_view text, std::span<const Field> fields) {
    if (g_journal) return send_to_journal(identifier, level, text, fields);
    const auto& sinks = spdlog::default_logger_raw()->sinks();
    spdlog::logger logger(std::string(identifier), sinks.begin(), sinks.end());
    logger.set_level(spdlog::level::trace);
    logger.flush_on(spdlog::level::trace);
    logger.log(spd_level(level), line_of(text, fields));
}

} // namespace fastrpc::log
