// Which modules a session may have, when its grant says so.
//
// Two ways lead to a module. The client opens one by its URI: its file must be one of the grant's, and the URI is taken
// in its plainest form alone, since the DSP's parser is not ours. And the DSP's loader asks for files, those that
// modules depend on too. The host cannot tell the loader's asking from that of any code on the DSP, and what lies in
// a client's directory may change after it was looked at; so there a client's directories have the files of these names
// and no others, data included. A module whose file the client handed over has no other file than that one, which
// nobody can change. The DSP's own directories are not the client's and stay as they are: its runtime libraries must
// load, and they are none of what was asked about.
#pragma once

#include "base/result.hpp"
#include "ipc/grant.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace fastrpc::daemon {

class GrantedModules {
public:
    /// Any module.
    GrantedModules() = default;
    /// Those of `grant`; any when it names none.
    explicit GrantedModules(const Grant& grant);

    /// ErrorKind::denied, with the module and the rule, unless a client may open `uri`: "file:///NAME", with or without
    /// a query, of a granted name; or "NAME" where "libNAME_skel.so" is granted (USERSPACE 1.5).
    [[nodiscard]] Status check(std::string_view uri) const;
    /// The names that files of a client's directories may have, less `handed_over`; nothing where they may have any.
    [[nodiscard]] std::optional<std::vector<std::string>>
    in_directories(const std::vector<std::string>& handed_over) const;
    /// Why another file is not there, for people.
    [[nodiscard]] const std::string& reason() const noexcept { return reason_; }

private:
    struct Name {
        std::string name;
        bool sealed = false; ///< the grant is of one file, by its hash
    };
    std::vector<Name> names_;
    std::string reason_;
};

} // namespace fastrpc::daemon
