// The journal gets fields through sd_journal_sendv, because spdlog's systemd sink knows no fields; stderr goes through
// spdlog, which keeps lines whole between threads.
#include "base/log.hpp"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <systemd/sd-journal.h>

#include <cstdlib>
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

void to_journal(std::string_view identifier, Level level, std::string_view text, std::span<const Field> fields) {
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

std::string line_of(std::string_view text, std::span<const Field> fields) {
    std::string line(text);
    for (const Field& field : fields) {
        line += ' ';
        line += field.name;
        line += '=';
        line += field.value;
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

void write(Level level, std::string_view text, Fields fields) {
    spdlog::logger* logger = spdlog::default_logger_raw();
    if (!logger->should_log(spd_level(level))) return;
    if (g_journal) return to_journal(g_identifier, level, text, fields);
    logger->log(spd_level(level), line_of(text, fields));
}

void write_as(std::string_view identifier, Level level, std::string_view text, std::span<const Field> fields) {
    if (g_journal) return to_journal(identifier, level, text, fields);
    const auto& sinks = spdlog::default_logger_raw()->sinks();
    spdlog::logger logger(std::string(identifier), sinks.begin(), sinks.end());
    logger.set_level(spdlog::level::trace);
    logger.flush_on(spdlog::level::trace);
    logger.log(spd_level(level), line_of(text, fields));
}

} // namespace fastrpc::log
