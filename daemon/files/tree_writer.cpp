#include "daemon/files/tree_writer.hpp"

#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>
#include <utility>

namespace fastrpc::daemon {
namespace {

/// Mode of what the overlay itself has at `path`; 0 for nothing.
mode_t kind_at(const FileTree::WritePlace& place) noexcept {
    const UniqueFd there = open_beneath(place.overlay->directory(), place.path, O_PATH | O_NOFOLLOW, Links::refused);
    struct stat status {};
    return there && ::fstat(there.get(), &status) == 0 ? status.st_mode & S_IFMT : 0;
}

} // namespace

std::expected<FileTree::WritePlace, int> TreeWriter::place_of(std::string_view name) {
    auto place = tree_.writable(name);
    if (!place) return std::unexpected(place.error().os_error);
    int error = 0;
    if (place->overlay->parent(place->path, error)) return *place;
    if (error != ENOENT || !place->beneath_lower) return std::unexpected(error);
    const std::size_t slash = place->path.rfind('/');
    error = place->overlay->make_directories(place->path.substr(0, slash));
    if (error != 0 && error != EEXIST) return std::unexpected(error);
    return *place;
}

std::expected<OpenFile, int> TreeWriter::open(std::string_view name, const OpenMode& mode) {
    const auto place = place_of(name);
    if (!place) return std::unexpected(place.error());
    if (kind_at(*place) == S_IFDIR || (place->in_lower && tree_.open_directory(name))) return std::unexpected(EISDIR);
    auto there = tree_.open(name);
    if (!there && there.error().os_error != ENOENT) return std::unexpected(there.error().os_error);
    if (there && mode.exclusive) return std::unexpected(EEXIST);
    if (!there && !mode.create) return std::unexpected(ENOENT);
    UniqueFd fd = there && !mode.truncate ? std::move(there->fd) : UniqueFd();
    std::unique_ptr<Draft> draft;
    if (!fd) {
        int error = 0;
        draft = Draft::begin(*place->overlay, place->path, -1, error);
        if (!draft) return std::unexpected(error);
    }
    return OpenFile(std::move(fd), std::string(name), mode, *place->overlay, place->path, std::move(draft));
}

int TreeWriter::remove(std::string_view name) {
    const auto place = tree_.writable(name);
    if (!place) return place.error().os_error;
    const mode_t kind = kind_at(*place);
    if (kind == S_IFDIR) return remove_directory(name);
    if (kind == 0) return place->in_lower ? EROFS : ENOENT;
    const int error = place->overlay->remove(place->path);
    if (error == 0) files_.removed(place->path);
    return error;
}

int TreeWriter::rename(std::string_view from, std::string_view to) {
    const auto old_place = tree_.writable(from);
    if (!old_place) return old_place.error().os_error;
    // What was written and not closed yet is part of the file.
    if (const int error = files_.publish(old_place->path); error != 0) return error;
    const mode_t kind = kind_at(*old_place);
    if (kind == 0) return old_place->in_lower ? EROFS : ENOENT;
    if (kind == S_IFDIR && old_place->in_lower) return EROFS;
    const auto new_place = place_of(to);
    if (!new_place) return new_place.error();
    if (new_place->overlay != old_place->overlay) return EXDEV;
    if (kind == S_IFDIR && new_place->in_lower) return EEXIST;
    if (const int error = old_place->overlay->rename(old_place->path, new_place->path); error != 0) return error;
    files_.renamed(old_place->path, new_place->path);
    return 0;
}

int TreeWriter::make_directory(std::string_view name) {
    const auto place = place_of(name);
    if (!place) return place.error();
    return place->in_lower ? EEXIST : place->overlay->make_directory(place->path);
}

int TreeWriter::remove_directory(std::string_view name) {
    const auto place = tree_.writable(name);
    if (!place) return place.error().os_error;
    const mode_t kind = kind_at(*place);
    if (kind == 0) return place->in_lower ? EROFS : ENOENT;
    if (kind != S_IFDIR) return ENOTDIR;
    return place->in_lower ? EROFS : place->overlay->remove_directory(place->path);
}

} // namespace fastrpc::daemon
