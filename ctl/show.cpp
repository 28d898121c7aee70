#include "ctl/show.hpp"

#include "ctl/names.hpp"
#include "ctl/table.hpp"

#include <cctype>
#include <fmt/core.h>

namespace fastrpc::ctl {
namespace {

// "p50-us" as "P50Us".
std::string camel(const std::string& name) {
    std::string result;
    bool start = true;
    for (const char c : name) {
        if (c != '-') result += start ? static_cast<char>(std::toupper(static_cast<unsigned char>(c))) : c;
        start = c == '-';
    }
    return result;
}

std::string value_text(const json& value) {
    std::string text;
    const auto add = [&](const std::string& entry) { text += (text.empty() ? "" : " ") + entry; };
    if (value.is_boolean()) return value.get<bool>() ? "yes" : "no";
    if (value.is_string()) return printable(value.get<std::string>());
    if (value.is_array())
        for (const json& entry : value) add(value_text(entry));
    else if (value.is_object())
        for (const auto& [key, entry] : value.items()) add(fmt::format("{}={}", printable(key), value_text(entry)));
    else
        text = value.dump();
    return text;
}

const std::string& interface_of(ObjectKind kind) {
    switch (kind) {
    case ObjectKind::daemon:
        return names::manager;
    case ObjectKind::domain:
        return names::domain;
    case ObjectKind::pd:
        return names::pd;
    case ObjectKind::session:
        return names::session;
    }
    return names::manager;
}

// The method that tells the object's figures.
const char* method_of(ObjectKind kind) {
    return kind == ObjectKind::daemon ? "GetStats" : kind == ObjectKind::domain ? "GetCapabilities" : "GetUsage";
}

// How people name the object at `path`; empty for what is no object of theirs.
std::string name_of(const std::string& path, const json& interfaces) {
    if (interfaces.contains(names::pd)) return names::domain_of_pd(path) + '/' + names::last_part(path);
    if (interfaces.contains(names::domain) || interfaces.contains(names::session)) return names::last_part(path);
    return {};
}

} // namespace

Result<Object> find_object(BusClient& client, const std::vector<std::string>& words) {
    std::string wanted;
    for (const std::string& word : words) wanted += (wanted.empty() ? "" : "/") + word;
    if (wanted.empty() || wanted == names::root) return Object{ObjectKind::daemon, names::root};
    const auto objects = client.objects();
    if (!objects) return std::unexpected(objects.error());
    std::string known;
    for (const auto& [path, interfaces] : objects->items()) {
        const std::string name = name_of(path, interfaces);
        if (!name.empty()) known += (known.empty() ? "" : ", ") + name;
        if (name.empty() || (wanted != name && wanted != path)) continue;
        for (const ObjectKind kind : {ObjectKind::domain, ObjectKind::pd, ObjectKind::session})
            if (interfaces.contains(interface_of(kind))) return Object{kind, path};
    }
    return fail(ErrorKind::not_found, fmt::format("there is no domain, PD or session \"{}\"; there are: {}", wanted,
                                                  known.empty() ? "none" : known));
}

Result<json> show_object(BusClient& client, const Object& object) {
    const std::string& interface = interface_of(object.kind);
    auto properties = client.properties(object.path, interface);
    if (!properties) return properties;
    std::vector<Question> more{{object.path, interface, method_of(object.kind)}};
    if (object.kind == ObjectKind::session) more.push_back({object.path, interface, "Label", true});
    const auto told = client.ask(more);
    if (!told) return std::unexpected(told.error());
    json& all = *properties;
    all["ObjectPath"] = object.path;
    if (object.kind == ObjectKind::pd || object.kind == ObjectKind::session) all["Id"] = names::last_part(object.path);
    if (told->size() > 1) all["Label"] = (*told)[1];
    if (object.kind == ObjectKind::domain)
        all["Capabilities"] = (*told)[0];
    else if ((*told)[0].is_object())
        for (const auto& [key, value] : (*told)[0].items()) all[camel(key)] = value;
    return properties;
}

std::string show_text(const json& properties, const std::vector<std::string>& wanted, bool bare) {
    std::string text;
    const auto add = [&](const std::string& key, const json& value) {
        text += bare ? value_text(value) + '\n' : fmt::format("{}={}\n", key, value_text(value));
    };
    if (wanted.empty())
        for (const auto& [key, value] : properties.items()) add(key, value);
    for (const std::string& key : wanted)
        if (properties.contains(key)) add(key, properties[key]);
    return text;
}

} // namespace fastrpc::ctl
