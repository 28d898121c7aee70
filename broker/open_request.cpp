#include "broker/open_request.hpp"

#include "policy/words.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <fmt/format.h>
#include <limits>
#include <set>
#include <sys/stat.h>
#include <systemd/sd-bus.h>

namespace fastrpc::broker {
namespace {

template<class Names>
std::string list(const Names& all) {
    std::string text;
    for (const auto name : all) text += (text.empty() ? "" : ", ") + std::string(to_string(name));
    return text;
}

std::unexpected<Error> invalid(std::string text) {
    return fail(ErrorKind::invalid, std::move(text), EINVAL);
}

Status check_type(sd_bus_message* call, std::string_view key, std::string_view wanted) {
    const char* found = nullptr;
    if (::sd_bus_message_peek_type(call, nullptr, &found) < 0 || wanted != found)
        return invalid(
            fmt::format("option \"{}\" must be of type {}, not {}", key, wanted, found == nullptr ? "?" : found));
    if (::sd_bus_message_enter_container(call, SD_BUS_TYPE_VARIANT, found) < 0)
        return invalid("the options are malformed");
    return {};
}

template<class T>
Result<T> read_basic(sd_bus_message* call, std::string_view key, char type) {
    T value{};
    if (::sd_bus_message_read_basic(call, type, &value) < 0)
        return invalid(fmt::format("option \"{}\" is malformed", key));
    return value;
}

template<class T, class Value>
Status read_number(sd_bus_message* call, std::string_view key, char type, T least, Value& value,
                   T most = std::numeric_limits<T>::max()) {
    const auto number = read_basic<T>(call, key, type);
    if (!number) return std::unexpected(number.error());
    if (*number < least) return invalid(fmt::format("option \"{}\" must be at least {}", key, least));
    if (*number > most) return invalid(fmt::format("option \"{}\" must be at most {}", key, most));
    value = *number;
    return {};
}

Status read_label(sd_bus_message* call, std::string& label) {
    const auto text = read_basic<const char*>(call, "label", SD_BUS_TYPE_STRING);
    if (!text) return std::unexpected(text.error());
    label = *text;
    const bool printable = std::ranges::all_of(label, [](unsigned char c) { return c >= ' ' && c <= '~'; });
    if (label.size() > max_label || !printable)
        return invalid(fmt::format("option \"label\" must be at most {} printable ASCII characters", max_label));
    return {};
}

// Asks the kernel's own memory of the file, because a file system in user space may never answer a real question.
bool is_directory(int fd) {
    struct statx status {};
    return ::statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &status) == 0 && S_ISDIR(status.stx_mode);
}

Status read_directories(sd_bus_message* call, OpenRequest& request) {
    std::vector<UniqueFd>& directories = request.directories;
    if (::sd_bus_message_enter_container(call, SD_BUS_TYPE_ARRAY, "h") < 0)
        return invalid("option \"directories\" is malformed");
    int borrowed = -1;
    int step = 0;
    while ((step = ::sd_bus_message_read_basic(call, SD_BUS_TYPE_UNIX_FD, &borrowed)) > 0) {
        if (directories.size() == max_directories)
            return invalid(fmt::format("option \"directories\" has more than {} entries", max_directories));
        if (!is_directory(borrowed))
            return invalid(fmt::format("option \"directories\": entry {} is not a directory", directories.size()));
        // Such an fd takes no right to read the directory, and the host would read it with its own.
        if ((::fcntl(borrowed, F_GETFL) & O_PATH) != 0)
            return invalid(fmt::format("option \"directories\": entry {} was opened with O_PATH; open it for reading",
                                       directories.size()));
        UniqueFd copy(::fcntl(borrowed, F_DUPFD_CLOEXEC, 3));
        if (!copy) return fail_errno("keeping a directory of the client's", errno);
        directories.push_back(std::move(copy));
    }
    if (step < 0 || ::sd_bus_message_exit_container(call) < 0) return invalid("option \"directories\" is malformed");
    request.directory_count = static_cast<std::uint32_t>(directories.size());
    return {};
}

Status read_attributes(sd_bus_message* call, OpenRequest& request) {
    if (::sd_bus_message_enter_container(call, SD_BUS_TYPE_ARRAY, "s") < 0)
        return invalid("option \"attributes\" is malformed");
    std::uint32_t attributes = 0;
    const char* name = nullptr;
    int step = 0;
    while ((step = ::sd_bus_message_read_basic(call, SD_BUS_TYPE_STRING, &name)) > 0) {
        const auto* const known =
            std::ranges::find(policy::attribute_names, std::string_view(name), &policy::AttributeName::name);
        if (known == std::end(policy::attribute_names)) {
            std::string names;
            for (const auto& [each, bit] : policy::attribute_names) names += fmt::format(" {}", each);
            return invalid(fmt::format("option \"attributes\": no attribute has that name; there are{}", names));
        }
        attributes |= known->bit;
    }
    if (step < 0 || ::sd_bus_message_exit_container(call) < 0) return invalid("option \"attributes\" is malformed");
    request.attributes = attributes;
    return {};
}

struct Option {
    std::string_view key;
    std::string_view type;
};
constexpr Option known_options[] = {
    {"directories", "ah"}, {"label", "s"},    {"deadline-ms", "u"}, {"lanes", "u"},    {"memory", "t"},
    {"wait-ms", "u"},      {"priority", "u"}, {"stack", "u"},       {"modules", "as"}, {"module-files", "a{sh}"},
    {"attributes", "as"}};

Status read_option(sd_bus_message* call, std::string_view key, OpenRequest& request) {
    const auto* const option = std::ranges::find(known_options, key, &Option::key);
    if (option == std::end(known_options))
        return invalid(fmt::format("unknown option \"{}\"; known are {}", key, fmt::join(option_names(), ", ")));
    if (Status typed = check_type(call, key, option->type); !typed) return typed;
    Status read;
    if (key == "directories")
        read = read_directories(call, request);
    else if (key == "label")
        read = read_label(call, request.label);
    else if (key == "deadline-ms")
        read = read_number(call, key, SD_BUS_TYPE_UINT32, 1U, request.deadline_ms);
    else if (key == "lanes")
        read = read_number(call, key, SD_BUS_TYPE_UINT32, 1U, request.lanes);
    else if (key == "memory")
        read = read_number(call, key, SD_BUS_TYPE_UINT64, std::uint64_t{0}, request.memory);
    else if (key == "wait-ms")
        read = read_number(call, key, SD_BUS_TYPE_UINT32, 0U, request.wait_ms);
    else if (key == "priority")
        read = read_number(call, key, SD_BUS_TYPE_UINT32, 1U, request.priority, 255U);
    else if (key == "modules")
        read = read_modules(call, request);
    else if (key == "module-files")
        read = read_module_files(call, request);
    else if (key == "attributes")
        read = read_attributes(call, request);
    else
        read = read_number(call, key, SD_BUS_TYPE_UINT32, 1U, request.stack);
    if (!read) return read;
    if (::sd_bus_message_exit_container(call) < 0) return invalid(fmt::format("option \"{}\" is malformed", key));
    return {};
}

} // namespace

Result<Domain> parse_domain(std::string_view name) {
    if (const auto domain = domain_from(name)) return *domain;
    return fail(ErrorKind::no_domain,
                fmt::format("there is no domain \"{}\"; domains are {}", name, list(all_domains)));
}

Result<PdKind> parse_pd(std::string_view name) {
    if (const auto kind = pd_kind_from(name)) return *kind;
    return fail(ErrorKind::not_found, fmt::format("there is no PD \"{}\"; PDs are {}", name, list(all_pd_kinds)));
}

std::vector<std::string> option_names() {
    std::vector<std::string> names;
    for (const Option& option : known_options) names.emplace_back(option.key);
    return names;
}

Result<OpenRequest> read_open_request(sd_bus_message* call) {
    const char *domain_name = nullptr, *pd_name = nullptr;
    if (::sd_bus_message_read(call, "ss", &domain_name, &pd_name) < 0) return invalid("the call is malformed");
    const auto domain = parse_domain(domain_name);
    if (!domain) return std::unexpected(domain.error());
    const auto kind = parse_pd(pd_name);
    if (!kind) return std::unexpected(kind.error());
    if (is_static(*kind))
        return fail(ErrorKind::unsupported,
                    fmt::format("PD \"{}\" belongs to the system and cannot be opened; open \"unsigned\" or \"signed\"",
                                pd_name));
    OpenRequest request{.domain = *domain, .kind = *kind};
    std::set<std::string, std::less<>> seen;
    if (::sd_bus_message_enter_container(call, SD_BUS_TYPE_ARRAY, "{sv}") < 0)
        return invalid("the options are malformed");
    int step = 0;
    while ((step = ::sd_bus_message_enter_container(call, SD_BUS_TYPE_DICT_ENTRY, "sv")) > 0) {
        const char* key = nullptr;
        if (::sd_bus_message_read_basic(call, SD_BUS_TYPE_STRING, &key) < 0)
            return invalid("the options are malformed");
        if (!seen.emplace(key).second) return invalid(fmt::format("option \"{}\" is given twice", key));
        if (Status read = read_option(call, key, request); !read) return std::unexpected(read.error());
        if (::sd_bus_message_exit_container(call) < 0) return invalid("the options are malformed");
    }
    if (step < 0 || ::sd_bus_message_exit_container(call) < 0) return invalid("the options are malformed");
    if (const Status joined = join_modules(request); !joined) return std::unexpected(joined.error());
    return request;
}

Object object_of(const OpenRequest& request, NodeKind node) noexcept {
    return {.domain = request.domain,
            .kind = request.kind,
            .attributes = request.attributes.value_or(0),
            .modules = request.modules,
            .thread_priority = request.priority.value_or(0),
            .thread_stack = request.stack.value_or(0),
            .memory = request.memory.value_or(0),
            .lanes = request.lanes.value_or(0),
            .directories = request.directory_count,
            .node = node};
}

std::string denial(const Decision& decision) {
    std::string text = decision.reason;
    const std::string place = fmt::format("{}:{}", decision.file, decision.line);
    if (!decision.rule.empty() && text.find(place) == std::string::npos)
        text += fmt::format(" (rule \"{}\", {})", decision.rule, place);
    if (!decision.fix.empty()) text += "; to allow it: " + decision.fix;
    return text;
}

Grant narrowed(Grant grant, const OpenRequest& request) {
    Limits& limits = grant.limits;
    limits.deadline_ms = std::min(limits.deadline_ms, request.deadline_ms.value_or(limits.deadline_ms));
    limits.lanes = std::min(limits.lanes, request.lanes.value_or(limits.lanes));
    limits.mapped_bytes = std::min(limits.mapped_bytes, request.memory.value_or(limits.mapped_bytes));
    // All are handed over when the host starts, so no more can come.
    limits.directories = std::min(limits.directories, request.directory_count);
    // A lower number is more urgent; 0 is the firmware's own choice, and all there is where the rule allows none.
    if (request.priority && limits.best_priority != 0)
        grant.thread_priority = std::max(*request.priority, limits.best_priority);
    grant.thread_stack = std::min(request.stack.value_or(0), limits.stack_bytes);
    // Who names attributes gets those and no others of the rule's; what comes with the kind of PD has no name.
    if (request.attributes)
        for (const auto& [name, bit] : policy::attribute_names)
            if ((*request.attributes & bit) == 0) grant.attributes &= ~bit;
    if (!request.modules.empty()) grant.modules = request.modules;
    return grant;
}

} // namespace fastrpc::broker
