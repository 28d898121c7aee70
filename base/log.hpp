// Log lines with fields: one incident, one line.
//
// To the journal when systemd started the process (JOURNAL_STREAM names our stderr), with the fields as journal
// fields; else to stderr as "level: text field=value", where nothing that a peer sent can end the line or pass for
// another field. This header pulls in no logging library, so that everything may include it; spdlog does the work in
// log.cpp.
#pragma once

#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

namespace fastrpc::log {

/// `notice` is the journal's word for what is normal and worth keeping; stderr calls it info.
enum class Level { debug, info, notice, warning, error, critical };

/// A journal field, e.g. {"FASTRPC_DOMAIN", "cdsp"}. Names are upper case, A-Z, 0-9 and _.
struct Field {
    std::string_view name;
    std::string value;
};
using Fields = std::initializer_list<Field>;

/// Call once at the start of main, before threads. `identifier` is the syslog identifier, e.g. "fastrpcd".
void open(std::string_view identifier, Level least = Level::info);
/// From which level on lines are written. Thread-safe.
Level least();
void set_least(Level level);
/// Whether lines go to the journal with their fields, or to stderr.
bool to_journal();

void write(Level level, std::string_view text, Fields fields = {});
/// A line of somebody whom the program speaks for, e.g. a DSP: under an identifier of its own, and never held back by
/// the program's own least level. Thread-safe, as all of these.
void write_as(std::string_view identifier, Level level, std::string_view text, std::span<const Field> fields = {});
inline void debug(std::string_view text, Fields fields = {}) {
    write(Level::debug, text, fields);
}
inline void info(std::string_view text, Fields fields = {}) {
    write(Level::info, text, fields);
}
inline void warning(std::string_view text, Fields fields = {}) {
    write(Level::warning, text, fields);
}
inline void error(std::string_view text, Fields fields = {}) {
    write(Level::error, text, fields);
}

} // namespace fastrpc::log
