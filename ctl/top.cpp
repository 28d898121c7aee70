// The tables of `top`; the terminal is in top_screen.cpp.
#include "ctl/top.hpp"

#include "ctl/queries.hpp"

#include <algorithm>
#include <fmt/core.h>

namespace fastrpc::ctl {
namespace {

std::uint64_t number(const json& from, const char* key) {
    return from.is_object() ? from.value(key, std::uint64_t{0}) : 0;
}

json row_of(const json& session) {
    const json& usage = session["usage"];
    return {{"session", session["id"]},
            {"domain", session["domain"]},
            {"pd", session["pd"]},
            {"state", session["state"]},
            {"uid", session["uid"]},
            {"owner", session["owner"]},
            {"sessions", 1},
            {"calls-per-s", 0.0},
            {"bytes-per-s", 0.0},
            {"p50-us", number(usage, "p50-us")},
            {"p99-us", number(usage, "p99-us")},
            {"in-flight", number(usage, "in-flight")},
            {"lanes", number(usage, "lanes")},
            {"calls", number(usage, "calls")},
            {"bytes", number(usage, "bytes")},
            {"files", number(usage, "files-served")},
            {"missing", number(usage, "files-missing")},
            {"rule", session["rule"]},
            {"label", session["label"]}};
}

json by_user(const json& rows) {
    std::map<std::uint32_t, json> users;
    for (const json& row : rows) {
        auto [found, fresh] = users.try_emplace(row["uid"].get<std::uint32_t>(), row);
        json& sum = found->second;
        for (const char* key : {"session", "domain", "pd", "rule", "label", "state"}) sum[key] = "";
        if (fresh) continue;
        for (const char* key : {"sessions", "in-flight", "lanes", "calls", "bytes", "files", "missing"})
            sum[key] = sum[key].get<std::uint64_t>() + row[key].get<std::uint64_t>();
        for (const char* key : {"calls-per-s", "bytes-per-s"})
            sum[key] = sum[key].get<double>() + row[key].get<double>();
        for (const char* key : {"p50-us", "p99-us"})
            sum[key] = std::max(sum[key].get<std::uint64_t>(), row[key].get<std::uint64_t>());
    }
    json all = json::array();
    for (auto& [uid, sum] : users) all.push_back(std::move(sum));
    return all;
}

void sort_by(json& rows, const std::string& what) {
    const std::string key = what == "calls"   ? "calls-per-s"
                            : what == "bytes" ? "bytes-per-s"
                            : what == "p50"   ? "p50-us"
                            : what == "p99"   ? "p99-us"
                                              : what;
    std::stable_sort(rows.begin(), rows.end(), [&](const json& one, const json& other) {
        return key == "owner" ? one[key] < other[key] : one[key] > other[key];
    });
}

struct Column {
    const char* head;
    std::string (*cell)(const json& row);
    bool right;
    std::size_t needs; ///< columns of the terminal below which it is left out
};

std::string text_of(const json& row, const char* key) {
    return word(row[key]);
}

constexpr std::size_t widest_label = 40;

const std::vector<Column>& columns_of(bool by_uid) {
    static const std::vector<Column> of_users{
        {"OWNER", [](const json& row) { return text_of(row, "owner"); }, false, 0},
        {"UID", [](const json& row) { return text_of(row, "uid"); }, true, 0},
        {"SESSIONS", [](const json& row) { return text_of(row, "sessions"); }, true, 0},
        {"CALLS/S", [](const json& row) { return fmt::format("{:.1f}", row["calls-per-s"].get<double>()); }, true, 0},
        {"BYTES/S", [](const json& row) { return amount(row["bytes-per-s"].get<double>()); }, true, 0},
        {"P50us", [](const json& row) { return text_of(row, "p50-us"); }, true, 0},
        {"P99us", [](const json& row) { return text_of(row, "p99-us"); }, true, 0},
        {"NOW", [](const json& row) { return text_of(row, "in-flight"); }, true, 0},
        {"LANES", [](const json& row) { return text_of(row, "lanes"); }, true, 100},
        {"CALLS", [](const json& row) { return text_of(row, "calls"); }, true, 100},
        {"BYTES", [](const json& row) { return amount(static_cast<double>(number(row, "bytes"))); }, true, 100},
        {"FILES", [](const json& row) { return text_of(row, "files"); }, true, 120},
        {"MISSING", [](const json& row) { return text_of(row, "missing"); }, true, 120}};
    static const std::vector<Column> of_sessions = [] {
        std::vector<Column> all{{"SESSION", [](const json& row) { return text_of(row, "session"); }, false, 0},
                                {"DSP", [](const json& row) { return text_of(row, "domain"); }, false, 0},
                                {"PD", [](const json& row) { return text_of(row, "pd"); }, false, 120},
                                {"STATE", [](const json& row) { return text_of(row, "state"); }, false, 120}};
        for (const Column& column : of_users)
            if (std::string_view(column.head) != "UID" && std::string_view(column.head) != "SESSIONS")
                all.push_back(column);
        all.push_back({"RULE", [](const json& row) { return text_of(row, "rule"); }, false, 140});
        all.push_back({"LABEL", [](const json& row) { return cut(text_of(row, "label"), widest_label); }, false, 100});
        return all;
    }();
    return by_uid ? of_users : of_sessions;
}

std::string summary(const json& table) {
    std::string text = fmt::format("fastrpc top  {}  ", date_of(table["time-usec"]).substr(11));
    for (const json& domain : table["domains"])
        text += fmt::format("{} {} {}/{}  ", word(domain["name"]), word(domain["state"]), word(domain["sessions-used"]),
                            word(domain["sessions-max"]));
    double calls = 0, bytes = 0;
    for (const json& row : table["rows"])
        calls += row["calls-per-s"].get<double>(), bytes += row["bytes-per-s"].get<double>();
    return text + fmt::format("queued {}  calls/s {:.1f}  bytes/s {}", word(table["queued"]), calls, amount(bytes));
}

} // namespace

json Usage::table(const json& list, Clock::time_point now, bool by_uid, const std::string& sort) {
    json rows = json::array();
    std::map<std::string, Seen> seen;
    const auto wall =
        std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch());
    for (const json& session : list["sessions"]) {
        json row = row_of(session);
        const auto id = session["id"].get<std::string>();
        const auto before = seen_.find(id);
        if (session["usage"].is_null() && before != seen_.end()) { // a host that is busy: what it said last stands
            seen[id] = before->second;
        } else {
            const Seen current{number(session["usage"], "calls"), number(session["usage"], "bytes"), now};
            const Seen old = before == seen_.end() ? Seen{} : before->second;
            const double age = static_cast<double>(wall.count()) / 1e6 - session["opened-usec"].get<double>() / 1e6;
            const double seconds = before == seen_.end() ? age : std::chrono::duration<double>(now - old.at).count();
            if (seconds > 0 && current.calls >= old.calls && current.bytes >= old.bytes) {
                row["calls-per-s"] = static_cast<double>(current.calls - old.calls) / seconds;
                row["bytes-per-s"] = static_cast<double>(current.bytes - old.bytes) / seconds;
            }
            seen[id] = current;
        }
        rows.push_back(std::move(row));
    }
    seen_ = std::move(seen);
    if (by_uid) rows = by_user(rows);
    sort_by(rows, sort);
    json domains = json::array();
    for (const json& domain : list["domains"])
        domains.push_back({{"name", domain["name"]},
                           {"state", domain["state"]},
                           {"sessions-used", domain["sessions-used"]},
                           {"sessions-max", domain["sessions-max"]}});
    return {{"time-usec", wall.count()},
            {"by-uid", by_uid},
            {"domains", std::move(domains)},
            {"queued", list["queue"].size()},
            {"rows", std::move(rows)}};
}

std::string top_text(const json& table, const Style& style, std::size_t columns) {
    std::vector<const Column*> shown;
    for (const Column& column : columns_of(table["by-uid"].get<bool>()))
        if (columns >= column.needs) shown.push_back(&column);
    Row heads;
    for (const Column* column : shown) heads.emplace_back(column->head);
    std::vector<Row> rows{std::move(heads)};
    for (const json& row : table["rows"]) {
        Row& cells = rows.emplace_back();
        for (const Column* column : shown) cells.push_back(column->cell(row));
    }
    for (std::size_t i = 0; i < shown.size(); ++i) {
        std::size_t widest = 0;
        for (const Row& cells : rows) widest = std::max(widest, width_of(cells[i]));
        for (Row& cells : rows)
            if (shown[i]->right) cells[i].insert(0, widest - width_of(cells[i]), ' ');
    }
    const std::string body = ctl::table(rows, style);
    std::string text = cut(summary(table), columns) + '\n';
    bool head = style.legend;
    for (std::size_t begin = 0; begin < body.size();) {
        const std::size_t end = body.find('\n', begin);
        const std::string line = cut(std::string_view(body).substr(begin, end - begin), columns);
        text += (head && style.colors ? "\x1b[7m" + line + "\x1b[0m" : line) + '\n';
        head = false;
        begin = end + 1;
    }
    if (table["rows"].empty()) text += "no session\n";
    return text;
}

} // namespace fastrpc::ctl
