// docs/man/org.fastrpc1.listing, from which org.fastrpc1(5) is made, beside what a running fastrpcd says of itself.
//
// With FASTRPCD_UPDATE set the listing is written anew (./dev man).
#include "tests/unit/broker/signals.hpp"

#include <cstdlib>
#include <fstream>
#include <map>
#include <regex>
#include <sstream>

using namespace fastrpc;
using namespace fastrpc::broker::test;

namespace {

constexpr const char* listing_file = SOURCE_ROOT "/docs/man/org.fastrpc1.listing";

std::string text_of(const std::string& file) {
    std::ifstream in(file);
    return {std::istreambuf_iterator<char>(in), {}};
}

std::string attribute(const std::string& tag, const std::string& name) {
    std::smatch match;
    return std::regex_search(tag, match, std::regex(" " + name + "=\"([^\"]*)\"")) ? match[1].str() : std::string();
}

/// One member with what stands inside its element.
struct Member {
    std::string tag;
    std::vector<std::string> inside;

    [[nodiscard]] std::string arguments(const std::string& direction) const {
        std::string list;
        for (const std::string& part : inside) {
            if (!part.starts_with("<arg") || attribute(part, "direction") != direction) continue;
            const std::string name = attribute(part, "name");
            list += (list.empty() ? "" : ", ") + attribute(part, "type") + (name.empty() ? "" : " " + name);
        }
        return "(" + list + ")";
    }
    [[nodiscard]] std::string annotation(const std::string& name) const {
        for (const std::string& part : inside)
            if (part.find("org.freedesktop.DBus." + name + "\"") != std::string::npos) return attribute(part, "value");
        return {};
    }
    [[nodiscard]] std::string line() const {
        const std::string name = attribute(tag, "name");
        if (tag.starts_with("<method")) {
            const std::string results = arguments("out");
            return "method " + name + arguments("in") + (results == "()" ? "" : " -> " + results);
        }
        // sd-bus gives arguments of signals no direction.
        if (tag.starts_with("<signal")) return "signal " + name + arguments("");
        const std::string told = annotation("Property.EmitsChangedSignal");
        return "property " + name + " " + attribute(tag, "type") +
               (told == "const"         ? ", never changes"
                : told == "false"       ? ", changes are not told"
                : told == "invalidates" ? ", changes are told without the value"
                                        : ", changes are told");
    }
};

/// Of each interface of ours, the lines of its members.
std::map<std::string, std::vector<std::string>> interfaces(const std::string& xml) {
    std::map<std::string, std::vector<std::string>> found;
    std::string interface;
    Member member;
    const std::regex tag("<[^>]*>");
    for (std::sregex_iterator it(xml.begin(), xml.end(), tag), end; it != end; ++it) {
        const std::string text = it->str();
        const bool closed = text.ends_with("/>");
        if (text.starts_with("<interface")) interface = attribute(text, "name");
        if (!interface.starts_with("org.fastrpc1.")) continue;
        if (text.starts_with("<arg") || text.starts_with("<annotation")) member.inside.push_back(text);
        if (text.starts_with("<method") || text.starts_with("<property") || text.starts_with("<signal"))
            member = {text, {}};
        const bool member_closed = text == "</method>" || text == "</property>" || text == "</signal>";
        if (member_closed || (closed && member.tag == text)) found[interface].push_back(member.line());
    }
    return found;
}

std::string introspected(Client& client, const std::string& path) {
    const auto answer = client.call(path, "org.freedesktop.DBus.Introspectable", "Introspect").wait();
    const char* xml = nullptr;
    EXPECT_GE(::sd_bus_message_read(answer.message.get(), "s", &xml), 0) << path << answer.text;
    return xml != nullptr ? xml : "";
}

/// A system with one object of each kind, and what they say.
std::string listing() {
    PrivateSystem system;
    Client client = system.client();
    FakeHost root = system.connect_control();
    EXPECT_EQ(root.described(root_of(Domain::adsp)), 0U);
    auto session = system.open_session(client);
    std::map<std::string, std::vector<std::string>> all;
    for (const std::string& path : {std::string("/org/fastrpc1"), std::string("/org/fastrpc1/domain/adsp"),
                                    std::string("/org/fastrpc1/domain/adsp/pd/root"), session.path})
        for (auto& [name, lines] : interfaces(introspected(client, path))) all[name] = std::move(lines);
    std::string text;
    for (const auto& [name, lines] : all) {
        text += (text.empty() ? "interface " : "\ninterface ") + name + "\n";
        for (const std::string& line : lines) text += "  " + line + "\n";
    }
    return text;
}

} // namespace

TEST(DbusListing, is_what_the_daemon_says_of_itself) {
    const std::string now = listing();
    for (const char* interface : {"Manager", "Domain", "ProtectionDomain", "Session"})
        ASSERT_NE(now.find(std::string("interface org.fastrpc1.") + interface + "\n"), std::string::npos) << now;
    if (std::getenv("FASTRPCD_UPDATE") != nullptr) std::ofstream(listing_file) << now;
    EXPECT_EQ(text_of(listing_file), now)
        << "the interface has changed: run ./dev man, and say in docs/dbus.md what is new";
}

TEST(DbusListing, has_no_member_that_the_reference_is_silent_about) {
    const std::string words = text_of(SOURCE_ROOT "/docs/dbus.md");
    std::istringstream lines(text_of(listing_file));
    unsigned members = 0;
    for (std::string kind, rest; lines >> kind && std::getline(lines, rest);) {
        if (kind == "interface") continue;
        const std::string name = rest.substr(1, rest.find_first_of(" (", 1) - 1);
        ++members;
        EXPECT_TRUE(std::regex_search(words, std::regex("`" + name + "[`(]"))) << kind << " " << name;
    }
    EXPECT_GT(members, 40U);
}
