#include "ctl/files.hpp"

#include "ctl/names.hpp"
#include "ctl/table.hpp"

#include <array>
#include <fmt/core.h>

namespace fastrpc::ctl {
namespace {

// A host keeps 1024 files, and a page holds one at least: whoever has more pages lies.
constexpr int max_pages = 1024;

// A report in the order of org.fastrpc1's a(tsassttttt), with whose it is.
json file_of(const json& report, json whose) {
    constexpr std::array<const char*, 9> keys{"",         "name",       "places",        "problem",  "opens",
                                              "refusals", "bytes-read", "bytes-written", "last-usec"};
    for (std::size_t i = 1; i < keys.size(); ++i) whose[keys[i]] = report.at(i);
    whose["missing"] = !report.at(3).get<std::string>().empty();
    return whose;
}

std::string owner(const json& file) {
    std::string text = word(file["domain"]) + ' ' + word(file["pd"]);
    if (!file["session"].is_null()) text += ' ' + word(file["session"]);
    return text;
}

} // namespace

void FileReader::read_one(BusClient& client, const std::string& path, const std::string& interface, const json& whose,
                          std::uint64_t& since, json& answer) {
    bool more = true;
    for (int page = 0; more && page < max_pages; ++page) {
        const auto reply = client.call(path, interface, "GetFiles", since);
        if (!reply || reply->size() != 2) {
            json unanswered = whose;
            unanswered["error"] = reply ? "it answers what fastrpcctl does not understand" : reply.error().text;
            answer["unanswered"].push_back(std::move(unanswered));
            return;
        }
        for (const json& report : reply->at(0)) {
            since = report.at(0);
            json file = file_of(report, whose);
            if (file["missing"] == missing_)
                answer["files"].push_back(std::move(file));
            else
                answer["left-out"] = answer["left-out"].get<std::uint64_t>() + 1;
        }
        more = reply->at(1);
    }
}

Result<json> FileReader::read(BusClient& client) {
    const auto objects = client.objects();
    if (!objects) return objects;
    json answer{
        {"missing", missing_}, {"files", json::array()}, {"left-out", std::uint64_t{0}}, {"unanswered", json::array()}};
    std::map<std::string, std::uint64_t> known;
    const auto read_object = [&](const std::string& path, const std::string& interface, const json& whose,
                                 std::uint64_t pid) {
        if (!domain_.empty() && whose["domain"] != domain_) return;
        const std::string key = fmt::format("{} {}", path, pid);
        std::uint64_t& since = known[key] = since_[key];
        read_one(client, path, interface, whose, since, answer);
    };
    for (const auto& [path, interfaces] : objects->items()) {
        if (const std::string& name = names::pd; interfaces.contains(name)) {
            const json& pd = interfaces[name];
            if (pd.value("Pid", 0U) != 0) // else there is no host to ask
                read_object(path, name,
                            {{"domain", names::domain_of_pd(path)}, {"pd", pd.value("Kind", "")}, {"session", nullptr}},
                            pd.value("Pid", 0U));
        }
        if (const std::string& name = names::session; interfaces.contains(name)) {
            const json& session = interfaces[name];
            read_object(path, name,
                        {{"domain", names::last_part(session.value("Domain", ""))},
                         {"pd", session.value("Pd", "")},
                         {"session", names::last_part(path)}},
                        session.value("Pid", 0U));
        }
    }
    since_ = std::move(known);
    return answer;
}

std::string file_text(const json& file, const Style&) {
    const json& places = file["places"];
    if (!file["missing"].get<bool>())
        return fmt::format("{}: {}  {}  opens {}, bytes {}\n", owner(file), word(file["name"]),
                           places.empty() ? "-" : word(places[0]), word(file["opens"]), word(file["bytes-read"]));
    std::string text = fmt::format("{}: {}: {}, asked for {} times\n", owner(file), word(file["name"]),
                                   word(file["problem"]), word(file["refusals"]));
    for (const json& place : places) text += fmt::format("    {}\n", word(place));
    return text;
}

std::string files_text(const json& answer, const Style& style) {
    std::string text;
    std::vector<Row> rows{{"PD", "NAME", "OPENS", "BYTES", "WHERE"}};
    for (const json& file : answer["files"])
        if (file["missing"].get<bool>())
            text += file_text(file, style);
        else
            rows.push_back({owner(file), word(file["name"]), word(file["opens"]), word(file["bytes-read"]),
                            file["places"].empty() ? "-" : word(file["places"][0])});
    if (rows.size() > 1) text += table(rows, style);
    if (answer["files"].empty()) text += "none\n";
    if (!answer["missing"].get<bool>() && answer["left-out"] != 0)
        text += fmt::format("{} more were asked for in vain: fastrpcctl files --missing\n", word(answer["left-out"]));
    for (const json& silent : answer["unanswered"])
        text += fmt::format("{}: its host did not answer: {}\n", owner(silent), word(silent["error"]));
    return text;
}

} // namespace fastrpc::ctl
