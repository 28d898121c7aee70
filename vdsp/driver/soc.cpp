#include "vdsp/driver/soc.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <fmt/core.h>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>

namespace fastrpc::vdsp {

namespace {

using Json = nlohmann::json;

std::unexpected<Error> bad(std::string text) {
    return fail(ErrorKind::invalid, "SoC description: " + std::move(text));
}

std::optional<std::uint32_t> number(std::string_view text) {
    const int base = text.starts_with("0x") ? 16 : 10;
    if (base == 16) text.remove_prefix(2);
    std::uint32_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return value;
}

std::optional<std::uint32_t> number(const Json& value) {
    if (value.is_string()) return number(std::string_view(value.get_ref<const std::string&>()));
    if (!value.is_number_unsigned() || value.get<std::uint64_t>() > 0xFFFFFFFFU) return std::nullopt;
    return value.get<std::uint32_t>();
}

/// "kernel": which drivers serve the domain.
Status parse_kernels(const std::string& name, const Json& value, SocDomain& domain) {
    const Json list = value.is_array() ? value : Json::array({value});
    domain.misc = nullptr;
    for (const Json& entry : list) {
        const auto kernel = entry.is_string() ? entry.get<std::string>() : std::string();
        const KernelProfile* profile = find_profile(kernel);
        if (profile == nullptr)
            return bad(fmt::format("{}: unknown \"kernel\" {}; known: {}", name, entry.dump(), profile_names()));
        const KernelProfile*& driver = profile->accel ? domain.accel : domain.misc;
        if (driver != nullptr) return bad(name + ": \"kernel\" names at most one misc and one accel driver");
        driver = profile;
    }
    if (list.empty()) return bad(name + ": \"kernel\" names no driver");
    return {};
}

/// "firmware": the scripts of static PDs.
Status parse_firmware(const std::string& name, const Json& value, const std::string& directory, SocDomain& domain) {
    if (!value.is_object()) return bad(name + ": \"firmware\" is an object");
    for (const auto& [pd, file] : value.items()) {
        const auto kind = pd_kind_from(pd);
        if (!kind || !is_static(*kind) || !file.is_string())
            return bad(fmt::format("{}: \"firmware\" names files for root, audio and sensors, not \"{}\"", name, pd));
        const auto path = std::filesystem::path(directory) / file.get<std::string>();
        std::ifstream stream(path, std::ios::binary);
        if (!stream) return bad(fmt::format("{}: firmware {}: {}", name, path.string(), errno_text(errno)));
        std::string script{std::istreambuf_iterator<char>(stream), {}};
        if (!Json::parse(script, nullptr, false).is_array())
            return bad(fmt::format("{}: firmware {}: not a JSON list of steps", name, path.string()));
        domain.firmware[*kind] = std::move(script);
    }
    return {};
}

/// Keys whose values depend on the driver.
Status check_kernel(const std::string& name, const SocDomain& domain) {
    if (domain.misc == nullptr) return {};
    if (!accepts(*domain.misc, domain.domain))
        return bad(fmt::format("{}: the driver of kernel {} knows no such label", name, domain.misc->name));
    if (domain.sid_position != 32 && !domain.misc->wide_sid)
        return bad(fmt::format("{}: kernel {} has the SID at bit 32", name, domain.misc->name));
    return {};
}

Result<SocDomain> parse_domain(const Json& entry, const std::string& directory) {
    if (!entry.is_object() || !entry.contains("name") || !entry["name"].is_string())
        return bad("each of \"domains\" is an object with a \"name\"");
    const auto name = entry["name"].get<std::string>();
    const auto domain = domain_from(name);
    if (!domain)
        return bad(fmt::format("unknown domain \"{}\"; known: adsp, mdsp, sdsp, cdsp, cdsp1, gdsp0, gdsp1", name));
    SocDomain result{.domain = *domain};
    for (const auto& [key, value] : entry.items()) {
        if (key == "slots") {
            const auto slots = number(value);
            if (!slots || *slots < 1 || *slots > 14) return bad(name + ": \"slots\" is a number from 1 to 14");
            result.slots = *slots;
        } else if (key == "secure") {
            if (!value.is_boolean()) return bad(name + ": \"secure\" is true or false");
            result.secure = value.get<bool>();
        } else if (key == "attributes") {
            if (!value.is_object()) return bad(name + ": \"attributes\" is an object");
            for (const auto& [id_text, attribute] : value.items()) {
                const auto id = number(std::string_view(id_text));
                const auto number_value = number(attribute);
                if (!id || *id < 1 || *id > 255 || !number_value)
                    return bad(
                        fmt::format("{}: attribute \"{}\": ids are 1 to 255, values 32-bit numbers", name, id_text));
                result.attributes[*id] = *number_value;
            }
        } else if (key == "kernel") {
            if (auto parsed = parse_kernels(name, value, result); !parsed) return std::unexpected(parsed.error());
        } else if (key == "attach_check" || key == "old_firmware") {
            if (!value.is_boolean()) return bad(fmt::format("{}: \"{}\" is true or false", name, key));
            (key == "attach_check" ? result.attach_check : result.old_firmware) = value.get<bool>();
        } else if (key == "firmware") {
            if (auto parsed = parse_firmware(name, value, directory, result); !parsed)
                return std::unexpected(parsed.error());
        } else if (key == "sid_position") {
            const auto position = number(value);
            if (position != 32 && position != 56) return bad(name + ": \"sid_position\" is 32 or 56");
            result.sid_position = *position;
        } else if (key != "name") {
            return bad(fmt::format("{}: unknown key \"{}\"", name, key));
        }
    }
    if (auto checked = check_kernel(name, result); !checked) return std::unexpected(checked.error());
    return result;
}

} // namespace

Result<Soc> parse_soc(std::string_view text, const std::string& directory) {
    const Json root = Json::parse(text, nullptr, false);
    if (!root.is_object()) return bad("not a JSON object");
    Soc soc;
    for (const auto& [key, value] : root.items()) {
        if (key == "domains") {
            if (!value.is_array()) return bad("\"domains\" is a list");
            for (const Json& entry : value) {
                auto domain = parse_domain(entry, directory);
                if (!domain) return std::unexpected(domain.error());
                const auto same = [&](const SocDomain& other) { return other.domain == domain->domain; };
                if (std::ranges::any_of(soc.domains, same))
                    return bad(fmt::format("domain \"{}\" stands there twice", to_string(domain->domain)));
                soc.domains.push_back(std::move(*domain));
            }
        } else if (key == "heaps") {
            soc.heaps.clear();
            if (!value.is_array()) return bad("\"heaps\" is a list of names");
            for (const Json& heap : value) {
                if (!heap.is_string() || heap.get_ref<const std::string&>().empty() ||
                    heap.get_ref<const std::string&>().contains('/'))
                    return bad("\"heaps\" is a list of names below /dev/dma_heap");
                soc.heaps.push_back(heap.get<std::string>());
            }
        } else if (key == "kernel_timeout_ms") {
            const auto timeout = number(value);
            if (!timeout || *timeout == 0) return bad("\"kernel_timeout_ms\" is a number above 0");
            soc.kernel_timeout_ms = *timeout;
        } else {
            return bad(fmt::format("unknown key \"{}\"", key));
        }
    }
    if (soc.domains.empty()) return bad("\"domains\" names no domain");
    return soc;
}

Result<Soc> load_soc(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) return fail_errno("SoC description " + path, errno);
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    auto soc = parse_soc(text, std::filesystem::path(path).parent_path().string());
    if (!soc) soc.error().text = path + ": " + soc.error().text;
    return soc;
}

} // namespace fastrpc::vdsp
