// apps_std, the DSP's C library calls on files, directories and variables (USERSPACE 5).
//
// Names are looked up in the file tree alone, and written in its overlays alone (EROFS elsewhere). The library search
// list that the DSP names through an environment variable is that tree; the lists of other variables are names in it.
#pragma once

#include "daemon/files/file_tree.hpp"
#include "daemon/files/open_directories.hpp"
#include "daemon/files/open_files.hpp"
#include "daemon/files/tree_writer.hpp"
#include "daemon/reverse/dispatcher.hpp"
#include "daemon/reverse/environment.hpp"
#include "daemon/reverse/reverse_stats.hpp"

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace fastrpc::daemon {

class AppsMem;

class AppsStd final : public Interface {
public:
    /// The references must outlive the object.
    /// `memory`: where whole files go; null, and the DSP is told that they don't.
    AppsStd(const FileTree& tree, OpenFiles& files, ReverseStats& stats, Environment environment,
            AppsMem* memory = nullptr) :
        tree_(tree),
        files_(files), stats_(stats), memory_(memory), environment_(std::move(environment)), writer_(tree, files) {}

    int invoke(const ReverseCall& call) override;
    /// fread, which runs thousands of times and with outputs of any size.
    [[nodiscard]] bool fills(std::uint32_t method) const noexcept override { return method == 4; }
    /// The PD ended in order: what it wrote and did not close is kept, as a program's streams are at its exit.
    void end() { files_.publish_all(); }

private:
    struct Method;
    static const Method methods[];

    // apps_std.cpp
    int fopen(const ReverseCall& call);
    int freopen(const ReverseCall& call);
    int fopen_with_env(const ReverseCall& call);
    int file_exists(const ReverseCall& call);
    int stat(const ReverseCall& call);
    int print_string(const ReverseCall& call);

    // apps_std_streams.cpp
    int fclose(const ReverseCall& call);
    int fread(const ReverseCall& call);
    int fgets(const ReverseCall& call);
    int fgetpos(const ReverseCall& call);
    int fsetpos(const ReverseCall& call);
    int ftell(const ReverseCall& call);
    int fseek(const ReverseCall& call);
    int flen(const ReverseCall& call);
    int rewind(const ReverseCall& call);
    int feof(const ReverseCall& call);
    int ferror(const ReverseCall& call);
    int clearerr(const ReverseCall& call);
    int fflush(const ReverseCall& call);

    // apps_std_loads.cpp
    int fopen_fd(const ReverseCall& call);
    int fclose_fd(const ReverseCall& call);
    int fopen_with_env_fd(const ReverseCall& call);

    // apps_std_writes.cpp
    int fwrite(const ReverseCall& call);
    int ftrunc(const ReverseCall& call);
    int fsync(const ReverseCall& call);
    int fremove(const ReverseCall& call);
    int frename(const ReverseCall& call);
    int mkdir(const ReverseCall& call);
    int rmdir(const ReverseCall& call);

    // apps_std_directories.cpp
    int opendir(const ReverseCall& call);
    int readdir(const ReverseCall& call);
    int closedir(const ReverseCall& call);

    // apps_std_environment.cpp
    int getenv(const ReverseCall& call);
    int setenv(const ReverseCall& call);
    int unsetenv(const ReverseCall& call);
    int search_paths(const ReverseCall& call);

    /// The directories of a variable's value that is not the tree's own search list.
    using SearchList = std::optional<std::vector<std::string>>;

    OpenFile* file_of(const ReverseCall& call);
    /// From the tree, with the missing remembered. `list` absent: the tree's own.
    Result<OpenedFile> look_up(std::string_view name, const SearchList& list = {});
    void remember_missed(std::string_view name, const Error& error, const SearchList& list);
    /// The file that a mode opens, or an errno.
    std::expected<OpenFile, int> open_with(std::string_view name, std::string_view mode, const SearchList& list);
    int open_for(const ReverseCall& call, std::string_view name, std::string_view mode, const SearchList& list = {});
    int load(const ReverseCall& call, std::string_view name, std::string_view mode, const SearchList& list);
    /// False, with AEE_EBADPARM for the DSP, for a variable that is not set (USERSPACE 5.4 rule 2).
    bool list_of(std::string_view variable, std::string_view delimiter, bool any_of, SearchList& list) const;
    void tell_moved(const OpenFile& file);
    /// Ends a number: what it wrote is published; 0 or an errno.
    int close(std::int32_t number);

    const FileTree& tree_;
    OpenFiles& files_;
    ReverseStats& stats_;
    AppsMem* memory_;
    Environment environment_;
    TreeWriter writer_;
    OpenDirectories directories_;
};

} // namespace fastrpc::daemon
